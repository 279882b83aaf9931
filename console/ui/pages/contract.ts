// contract.json, as far as the page shows it. The whole is described by
// contract.schema.json.

export interface Document {
  generator?: string;
  api: { name: string; title?: string; version?: string };
  source?: { dir: string; sha256: string };
  schemes?: Scheme[];
  services?: Service[];
}

export interface Scheme {
  name: string;
  kind: string;
  scopes?: string[];
  scope_descriptions?: Record<string, string>;
  flows?: { type: string; authorization_url?: string; token_url?: string; refresh_url?: string }[];
}

export interface Service {
  name: string;
  depends_on?: string[];
  methods: Method[];
}

export interface Method {
  service: string;
  name: string;
  kind: string;
  routes?: { verb: string; pattern: string }[];
  access: "secured" | "public" | "undeclared";
  requirements?: Requirement[];
  deadline: string;
  max_body: number;
  max_in_flight?: number;
  rate_limits?: { name: string; rate: number; per: string; burst: number; partition: string }[];
  shed_priority?: string;
  idempotency?: { header: string; keep: string; wait?: string; required?: boolean };
  stream_idle?: string;
  message_rate?: { rate: number; per: string; burst: number };
  grpc?: { method: string; client_stream?: boolean; server_stream?: boolean; requirements?: Requirement[] };
  jsonrpc?: { method: string; route: { verb: string; pattern: string }; kind: string; requirements?: Requirement[]; errors?: Record<string, number> };
  audit?: boolean;
  consumes?: string[];
  produces?: string[];
  strict_body?: boolean;
  sensitive?: string[];
  cors?: { origins: string[]; credentials?: boolean };
  request_headers?: string[];
  response_headers?: string[];
  example?: { verb: string; path: string; header?: Record<string, string>; body?: unknown; status: number };
}

export interface Requirement {
  schemes: { scheme: string; in: string; name: string; password?: string }[];
  scopes?: string[];
}

/** read takes what the console sends as a contract; null where it is none. */
export function read(value: unknown): Document | null {
  if (typeof value !== "object" || value === null || !("api" in value)) return null;
  return value as Document;
}

/** requirement writes one alternative: schemes with their places, and scopes. */
export function requirement(r: Requirement): string {
  const schemes = r.schemes.map((s) => `${s.scheme} (${s.in} ${s.password ? `${s.name} and ${s.password}` : s.name})`);
  const scopes = r.scopes?.length ? ` with ${r.scopes.join(" and ")}` : "";
  return schemes.join(" and ") + scopes;
}

/** period writes a duration of Go without the zeros at its end: 24h0m0s is 24h. */
export function period(d: string): string {
  return d.replace(/(h|m)(0m)?0s$/, "$1");
}

const partitions: Record<string, string> = {
  principal: "for each caller", client_ip: "for each address", credential: "for each credential", global: "for all together",
};

export function rateLimit(l: NonNullable<Method["rate_limits"]>[number]): string {
  return `${number(l.rate)} in ${period(l.per)}, at once ${number(l.burst)}, ${partitions[l.partition] ?? l.partition}`;
}

const number = (n: number) => n.toLocaleString("en");
