package load

import "time"

// Edge is where visits go.
type Edge struct {
	Name string
	URL  string // http://HOST:PORT
	TLS  string // https://HOST:PORT, or "": then it takes no visits over TLS
}

// Kind is what connection a request goes over.
type Kind uint8

// The kinds of connections.
const (
	Pipelined Kind = iota // one of a few that stay open and take request after request without waiting for answers
	Kept                  // one that stays open, with one request under way
	New                   // one of its own, dialled for it and closed after it
	NewTLS                // likewise, over TLS: the handshake is part of the latency
	kinds     = iota
)

var kindNames = [kinds]string{"pipelined", "kept", "new", "new_tls"}

// String is the kind's word in scenarios and reports.
func (k Kind) String() string { return kindNames[k] }

// Route is where a visit goes, and how.
type Route struct {
	Edge int // index into the plan's edges
	Kind Kind
}

// Visit is what one visit sends. The engine uses one after the other for many visits: its buffers keep their room.
type Visit struct {
	Number uint64
	Route
	Path   []byte // as it goes into the request line, byte for byte; starts with a slash
	Body   []byte // makes it a POST of text, where it is not empty
	Key    string // scanner key; "": the plan's, "-": none
	Op     int    // which of the plan's operations it is
	Weight uint32 // visits that this request stands for: 1, or the codes of an upload
	Asked  any    // what the judge wants to know of it; kept from visit to visit, so that its room can be used again
}

// Answer is what came back over HTTP. Its bytes are the engine's again once the judge has returned.
type Answer struct {
	Code         int // the HTTP status
	ContentType  []byte
	CacheControl []byte
	Body         []byte
	At           time.Time // when it was there
}

// Outcome says in a word what came back. These two the package finds by itself; the others are for the judge to name.
type Outcome string

// Outcomes of visits that got no answer to judge.
const (
	Failed  Outcome = "failed"  // no HTTP answer
	Refused Outcome = "refused" // 429 or 503; a judge may find others
)

// Judgement is what an answer is worth.
type Judgement struct {
	Outcome Outcome
	Wrong   *Example // nil when the answer is what it must be
}

// Example is one wrong answer, for a person to look into.
type Example struct {
	Code     string `json:"code"`
	Edge     string `json:"edge"`
	Offset   uint64 `json:"offset"` // that the answer said, if it did
	Expected string `json:"expected"`
	Got      string `json:"got"`
}
