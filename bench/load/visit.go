package load

import (
	"net/http"
	"time"
)

// Edge is where visits go.
type Edge struct {
	Name string
	URL  string // http://HOST:PORT
}

// Visit is what one visit sends.
type Visit struct {
	Edge   int    // index into the plan's edges
	Method string // GET, or POST with a Body
	Path   string // as it goes into the request line, byte for byte; starts with a slash
	Body   string
	Key    string // scanner key; "": the plan's, "-": none
	Op     int    // which operation of the plan it is
	Weight uint32 // visits that this request stands for: 1, or the codes of an upload
}

// Answer is what came back over HTTP.
type Answer struct {
	Code   int // the HTTP status
	Header http.Header
	Body   []byte
	At     time.Time // when it was there
}

// Header fields that an [Answer] has; all others are left out.
var headerFields = [...]string{"Content-Type", "Cache-Control"}

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
	Expected string `json:"expected"`
	Got      string `json:"got"`
}
