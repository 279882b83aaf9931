// What the API answers, as console/design describes it. Times are RFC 3339, durations nanoseconds.

export interface ApiError {
  name: string;
  message: string;
  status: number;
}

export interface Rates {
  calls: number;
  errors: number;
  refused: number;
  rate: number;
  p50_ns?: number;
  p95_ns?: number;
  p99_ns?: number;
  spark: number[];
  failing: number[];
  from: string;
}
export interface Overview {
  services: ServiceState[];
  console: ConsoleState;
}
export interface ServiceState {
  name: string;
  version?: string;
  instances: number;
  language?: string;
  last_seen?: string;
  known: boolean;
  admin: boolean;
  health: string;
  checks?: Check[];
  certificate_expires?: string;
  keyset_age_s?: number;
  rates: Rates;
}
export interface Check {
  name: string;
  status: string;
  error?: string;
  duration_ms?: number;
  since?: string;
}
export interface ConsoleState {
  version: string;
  started: string;
  grpc: string;
  http: string;
  authenticated: boolean;
  spans: Kept;
  logs: Kept;
  points: Kept;
  bytes: number;
  budget: number;
  file?: string;
}
export interface Kept {
  received: number;
  kept: number;
  evicted: number;
  rejected: number;
  oldest?: string;
}
export interface MethodState {
  app: string;
  service: string;
  method: string;
  kind: string;
  routes: string[];
  access: string;
  requirements?: string[];
  deadline_ns?: number;
  max_body?: number;
  max_in_flight?: number;
  rate_limits?: string[];
  idempotency?: string;
  audit?: boolean;
  promised: boolean;
  rates: Rates;
  refusals: Count[];
  verdicts?: Count[];
}
export interface Count {
  name: string;
  count: number;
}
export interface TraceList {
  traces: TraceSummary[];
  matched: number;
  scanned: number;
  more: boolean;
}
export interface TraceSummary {
  id: string;
  name: string;
  service: string;
  start: string;
  duration_ns: number;
  spans: number;
  errors: number;
  status?: string;
  services: string[];
  matched: number;
  partial: boolean;
}
export interface Trace {
  id: string;
  start: string;
  duration_ns: number;
  spans: Span[];
  logs: LogRecord[];
  critical_path: Segment[];
  partial: boolean;
  evicted: number;
  orphans: number;
}
export interface Segment {
  span_id: string;
  offset_ns: number;
  duration_ns: number;
}
export interface Span {
  trace_id: string;
  span_id: string;
  parent_id?: string;
  service: string;
  scope?: string;
  name: string;
  kind: string;
  start: string;
  offset_ns: number;
  duration_ns: number;
  status: string;
  status_message?: string;
  resource?: Record<string, unknown>;
  events?: Event[];
  links?: Link[];
  dropped?: number;
  attributes?: Record<string, unknown>;
}
export interface Event {
  name: string;
  offset_ns: number;
  attributes?: Record<string, unknown>;
}
export interface Link {
  trace_id: string;
  span_id: string;
  attributes?: Record<string, unknown>;
}
export interface LogRecord {
  seq: number;
  time: string;
  level: string;
  severity: number;
  service: string;
  scope?: string;
  event?: string;
  body: any;
  trace_id?: string;
  span_id?: string;
  attributes?: Record<string, unknown>;
}
export interface LogList {
  records: LogRecord[];
  histogram: LogBar[];
  matched: number;
  scanned: number;
}
export interface LogBar {
  start: string;
  debug: number;
  info: number;
  warn: number;
  error: number;
}
export interface LogBatch {
  records: LogRecord[];
  skipped: number;
  evicted: number;
}
export interface Instrument {
  name: string;
  description?: string;
  unit: string;
  type: string;
  monotonic: boolean;
  temporality?: string;
  services: string[];
  series: number;
  attributes: string[];
}
export interface MetricSeries {
  name: string;
  unit: string;
  type: string;
  rate: boolean;
  times: string[];
  series: Line[];
  more: number;
  heat?: Heat;
  exemplars: Exemplar[];
}
export interface Line {
  service?: string;
  values: (number | null)[];
  p50?: (number | null)[];
  p95?: (number | null)[];
  p99?: (number | null)[];
  count?: (number | null)[];
  attributes?: Record<string, unknown>;
}
export interface Heat {
  bounds: number[];
  counts: number[][];
}
export interface Exemplar {
  time: string;
  value: number;
  trace_id: string;
  span_id?: string;
  attributes?: Record<string, unknown>;
}
export interface SecurityState {
  failures: Failure[];
  lockouts: Count[];
  refusals: Count[];
  events: LogRecord[];
  expiries: Expiry[];
}
export interface Failure {
  service: string;
  scheme?: string;
  reason?: string;
  client?: string;
  count: number;
  last: string;
}
export interface Expiry {
  service: string;
  what: string;
  name: string;
  expires?: string;
  age_s?: number;
}
export interface Graph {
  nodes: Node[];
  edges: Edge[];
}
export interface Node {
  id: string;
  name: string;
  kind: "service" | "database" | "messaging" | "external" | "caller";
  system?: string;
  calls: number;
  errors: number;
}
export interface Edge {
  from: string;
  to: string;
  calls: number;
  errors: number;
  rate: number;
  p95_ns?: number;
}
export interface Runtime {
  service: string;
  admin: string;
  state: string;
  uptime_s?: number;
  checks: Check[];
  settings: Setting[];
  leases: Lease[];
  build?: any;
  goa_services: string[];
}
export interface Setting {
  name: string;
  value: string;
  source: string;
  default: string;
  type: string;
  meaning: string;
}
export interface Lease {
  id: string;
  kind: string;
  level?: string;
  goa_service?: string;
  method?: string;
  scheme?: string;
  principal?: string;
  reason: string;
  opened_by: string;
  opened: string;
  expires: string;
}
export interface Profile {
  service: string;
  kind: string;
  unit: string;
  taken: string;
  duration_ns?: number;
  total: number;
  frames: Frame[];
  top: Top[];
}
export interface Frame {
  parent: number;
  name: string;
  file?: string;
  value: number;
  self: number;
}
export interface Top {
  name: string;
  self: number;
  total: number;
}
export interface Contract {
  service: string;
  contract: any;
  proof?: Proof;
}
export interface Proof {
  time: string;
  passed: number;
  failed: number;
  skipped: number;
  waived: number;
  findings: Finding[];
}
export interface Finding {
  code: string;
  target?: string;
  verdict: string;
  question: string;
  detail?: string;
  fix?: string;
}
export interface Received {
  spans: number;
  logs: number;
  points: number;
}
