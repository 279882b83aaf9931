package proved

// sign is how a proof shows a defect: the code of a probe that fails, and a text
// of its finding.
type sign struct{ code, says string }

// found has for each defect of DEFECTS.md what shows it.
var found = map[string][]sign{
	"missing-credential-400":   {{"auth.no-credential", "400 Bad Request, not 401"}},
	"no-challenge":             {{"auth.challenge", "no WWW-Authenticate"}},
	"wrong-auth-scheme":        {{"auth.wrong-scheme", "200 OK, not 401"}},
	"scope-not-enforced":       {{"scope.declared", "none of its methods requires one"}},
	"body-before-auth":         {{"auth.before-body", "before the body begins"}, {"body.size", "it has no limit"}, {"input.memory", "grown"}},
	"input-echoed":             {{"answer.echo", "answered with 60000 bytes of it"}},
	"error-text-leaks":         {{"body.odd", "CHECK constraint failed"}, {"answer.inside", ""}},
	"no-recovery":              {{"param.unknown", "no answer"}},
	"404-405-no-json":          {{"surface.errors", "text/plain"}},
	"pprof-public":             {{"surface.operators", "/debug/pprof/heap is answered 200"}},
	"debug-switch-public":      {{"surface.operators", "/debug?debug-logs=on is answered 200"}},
	"credential-in-log":        {{"leak.log", "an API key"}},
	"log-not-json":             {{"log.valid", "no valid JSON object"}},
	"host-in-metrics":          {{"metrics.cardinality", "series of http.server."}},
	"telemetry-lost":           {{"stop.flush", "0 of the last 20"}},
	"address-in-use":           {{"start.port-in-use", "runs on"}, {"start.bad-config", "HTTP_ADDR"}},
	"stream-burns-shutdown":    {{"sse.drain", "still open"}},
	"second-signal-ignored":    {{"stop.second-signal", "still runs"}},
	"socket-dropped":           {{"ws.drain", "without a close frame"}},
	"event-injection":          {{"event.injection", "is an event of its own"}},
	"no-rate-limit":            {{"guess.lockout", "answered 401"}},
	"json-lenient":             {{"body.malformed", "accepted with 201"}},
	"jwt-crit-ignored":         {{"token.crit-unknown", "200 OK, not 401"}},
	"two-credentials":          {{"auth.twice", "200 OK, not 401"}},
	"no-headers":               {{"surface.headers", "X-Content-Type-Options"}},
	"socket-left-open":         {{"ws.left-open", "nobody reads"}},
	"socket-message-unbounded": {{"ws.too-large", "a message of 33554432 bytes"}},
	"stream-cut":               {{"sse.write-timeout", "at the first event after that"}},
	"forwarded-for":            {{"log.address", "what the caller claims"}},
	"cancel-is-500":            {{"log.deserted", "the status 500"}},
	"status-0":                 {{"log.status", "the status 0"}},
	"default-buckets":          {{"metrics.buckets", "for milliseconds"}},
	"client-value-in-metrics":  {{"metrics.values", "series of orders_total"}},
	"span-status-unset":        {{"trace.exception", "create_order"}},
	"spans-lost-by-header":     {{"trace.unharmed", "did not arrive"}},
	"two-lines":                {{"log.line", "two lines describe"}},
	"health-404":               {{"health.alive", "404"}},
	"no-drain":                 {{"stop.readiness", "before readiness said so"}},
	"debug-switch-dead":        {{"log.debug", "is of level debug"}},
	"log-level-ignored":        {{"log.level", "there is a line of the level info"}},
}

// missed has for each defect that no probe finds why.
var missed = map[string]string{
	"no-tls": "the prover does not know how this service is given a certificate",
}
