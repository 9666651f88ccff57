package scanedge

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ProblemType is the stable word that names an error, in the type member of a problem and in the lines of a batch. Words
// are a promise: scripts compare them, pages translate them.
type ProblemType string

// The words that an edge and an origin answer with. The HTTP status of each is in [ProblemType.Status].
const (
	MalformedCode     ProblemType = "malformed-code"      // the code has the form of none
	NoKey             ProblemType = "no-key"              // no scanner key, or one that this edge does not know
	UnknownSubject    ProblemType = "unknown-subject"     // the issuer is held, the subject is not in its table
	IssuerNotHeld     ProblemType = "issuer-not-held"     // this edge holds no table of that issuer
	PlainForbidden    ProblemType = "plain-forbidden"     // the issuer does not let plain codes be answered
	CodeExpired       ProblemType = "code-expired"        // the code was good, its time is over
	NotYetValid       ProblemType = "not-yet-valid"       // the code is good, its time is to come
	ClockAhead        ProblemType = "clock-ahead"         // the code is of a time to come: the clock of its phone is AheadS ahead
	ForgedCode        ProblemType = "forged-code"         // the code is not one that its issuer's keys make
	LockedOut         ProblemType = "locked-out"          // too many unknown or forged codes came from there; Retry-After says for how long
	Behind            ProblemType = "behind"              // the edge has not reached the offset of Scanedge-Min-Offset
	Overloaded        ProblemType = "overloaded"          // the edge answers as many as it can, and this is one more
	BadMinOffset      ProblemType = "bad-min-offset"      // a Scanedge-Min-Offset that is no offset
	NotReady          ProblemType = "not-ready"           // the table is not caught up yet
	TooManyCodes      ProblemType = "too-many-codes"      // more codes in one request than an edge judges
	BadLines          ProblemType = "bad-lines"           // lines of a push are not deltas; Lines names them
	NoDeltas          ProblemType = "no-deltas"           // a push without a single delta
	NoToken           ProblemType = "no-token"            // no token, or one that this origin does not know
	NotYourIssuer     ProblemType = "not-your-issuer"     // the push token or the edge is for other issuers; it does not say whether there is that one
	TooFast           ProblemType = "too-fast"            // the token's, key's or address's rate is used up; Retry-After says for how long
	UnknownToken      ProblemType = "unknown-token"       // no token has that id, or it was revoked or has expired
	NameTaken         ProblemType = "name-taken"          // another token of the kind has the name
	LastAdmin         ProblemType = "last-admin"          // without that admin token nobody could give orders any more
	TooManyTokens     ProblemType = "too-many-tokens"     // as many tokens as an origin keeps
	NotWritten        ProblemType = "not-written"         // the origin's data folder did not take what was asked for
	UnknownIssuer     ProblemType = "unknown-issuer"      // the origin has no such issuer
	TooManyDeltas     ProblemType = "too-many-deltas"     // a push of over 1,000,000 deltas
	TooLarge          ProblemType = "too-large"           // a body over the limit, after decompression
	LineTooLong       ProblemType = "line-too-long"       // a line of over 64 KiB
	BadEncoding       ProblemType = "bad-encoding"        // the body is cut short or is not what Content-Encoding says
	UnsupportedCoding ProblemType = "unsupported-coding"  // a Content-Encoding other than gzip and zstd
	BodyCut           ProblemType = "body-cut"            // the connection ended before the body did
	SecretMissing     ProblemType = "secret-missing"      // the issuer waits for a file that one of its secrets is read from
	LogUnavailable    ProblemType = "log-unavailable"     // the log did not take the batch; nothing is acknowledged
	LogFull           ProblemType = "log-full"            // the log's disk is full; the push is not acknowledged
	KeyReused         ProblemType = "key-reused"          // the Idempotency-Key went with another push before
	OffsetMoved       ProblemType = "offset-moved"        // If-Match names another offset than that of the issuer's last batch
	BadKey            ProblemType = "bad-idempotency-key" // an Idempotency-Key that is none
	BadIfMatch        ProblemType = "bad-if-match"        // an If-Match that is no offset
	BadNote           ProblemType = "bad-note"            // a note that is too long or no text
	UnknownPush       ProblemType = "unknown-push"        // no push is known by that Idempotency-Key
	Trimmed           ProblemType = "trimmed"             // the log no longer has what follows that offset
	LogRewound        ProblemType = "log-rewound"         // the log ends before the offset that is to be followed
	NoSnapshot        ProblemType = "no-snapshot"         // the origin or the peer edge has no such snapshot
	Busy              ProblemType = "busy"                // as many transfers as are served at once are under way
	NeedsApproval     ProblemType = "needs-approval"      // a push changes more than max_change; it is held under the problem's ID
	SameToken         ProblemType = "same-token"          // who pushed may not approve
	UnknownHeld       ProblemType = "unknown-held"        // no push is held under that id
	TooManyHeld       ProblemType = "too-many-held"       // a push needs an approval, and no more can be held
	PreviewDiffers    ProblemType = "preview-differs"     // what is to be applied is not what the preview was of
	TooFarBack        ProblemType = "too-far-back"        // no snapshot and no log tells what held then; Earliest is the first that does
	TooStale          ProblemType = "too-stale"           // the table is older than the issuer's max_stale
	NoEdge            ProblemType = "no-edge"             // a request that only edges may make, without an edge's certificate
	NotEnrolled       ProblemType = "not-enrolled"        // the certificate is of no edge that is enrolled, or not any more
	BadJoinToken      ProblemType = "bad-join-token"      // a join token that was used, has expired or is of another origin
	EdgeExists        ProblemType = "edge-exists"         // an edge of that name is enrolled
	UnknownEdge       ProblemType = "unknown-edge"        // no edge of that name was enrolled
	OffsetAhead       ProblemType = "offset-ahead"        // the issuer's log does not go so far yet
	NotReached        ProblemType = "not-reached"         // the wait is over, and edges are missing that Missing names
	NotFound          ProblemType = "not-found"           // no such path
	MethodNotAllowed  ProblemType = "method-not-allowed"  // the path exists, the method does not
	BadRequest        ProblemType = "bad-request"         // the request could not be read as HTTP
)

var problems = map[ProblemType]struct {
	status int
	title  string
}{
	MalformedCode:     {http.StatusBadRequest, "The code is of no form that codes have"},
	NoKey:             {http.StatusUnauthorized, "A scanner key that this edge knows is needed"},
	UnknownSubject:    {http.StatusNotFound, "The issuer has no such subject"},
	IssuerNotHeld:     {http.StatusNotFound, "This edge does not hold that issuer"},
	PlainForbidden:    {http.StatusForbidden, "The issuer does not accept plain codes"},
	CodeExpired:       {http.StatusGone, "The code has expired"},
	NotYetValid:       {http.StatusGone, "The code is not valid yet"},
	ClockAhead:        {http.StatusGone, "The code is of a time to come: the phone's clock is ahead"},
	ForgedCode:        {http.StatusUnprocessableEntity, "The code is forged"},
	LockedOut:         {http.StatusTooManyRequests, "Too many unknown or forged codes came from there"},
	Behind:            {http.StatusServiceUnavailable, "This edge has not come so far yet"},
	Overloaded:        {http.StatusServiceUnavailable, "This edge has more scans than it can answer"},
	BadMinOffset:      {http.StatusBadRequest, "Scanedge-Min-Offset is not an offset"},
	NotReady:          {http.StatusServiceUnavailable, "Not ready: not caught up with the log yet"},
	TooManyCodes:      {http.StatusRequestEntityTooLarge, "Too many codes in one request"},
	BadLines:          {http.StatusBadRequest, "Some lines are not deltas; nothing was applied"},
	NoDeltas:          {http.StatusBadRequest, "The push holds no delta"},
	NoToken:           {http.StatusUnauthorized, "A token that this origin knows is needed"},
	NotYourIssuer:     {http.StatusForbidden, "That issuer is not yours"},
	TooFast:           {http.StatusTooManyRequests, "The rate is used up"},
	UnknownToken:      {http.StatusNotFound, "There is no such token"},
	NameTaken:         {http.StatusConflict, "Another token has that name"},
	LastAdmin:         {http.StatusConflict, "The last admin token can't be revoked"},
	TooManyTokens:     {http.StatusConflict, "There are as many tokens as an origin keeps"},
	NotWritten:        {http.StatusServiceUnavailable, "The origin could not write to its data folder"},
	UnknownIssuer:     {http.StatusNotFound, "This origin has no such issuer"},
	TooManyDeltas:     {http.StatusRequestEntityTooLarge, "Too many deltas in one push; split it"},
	TooLarge:          {http.StatusRequestEntityTooLarge, "The body is too large"},
	LineTooLong:       {http.StatusRequestEntityTooLarge, "A line is too long"},
	BadEncoding:       {http.StatusBadRequest, "The body is not whole or not what its Content-Encoding says"},
	UnsupportedCoding: {http.StatusUnsupportedMediaType, "That Content-Encoding is not accepted"},
	BodyCut:           {http.StatusBadRequest, "The body ended early"},
	SecretMissing:     {http.StatusServiceUnavailable, "The issuer waits for its secret"},
	LogUnavailable:    {http.StatusServiceUnavailable, "The log did not take the batch"},
	LogFull:           {http.StatusInsufficientStorage, "The log's disk is full"},
	KeyReused:         {http.StatusUnprocessableEntity, "That Idempotency-Key went with another push"},
	OffsetMoved:       {http.StatusPreconditionFailed, "The issuer has moved on"},
	BadKey:            {http.StatusBadRequest, "The Idempotency-Key is not 1 to 128 visible ASCII characters"},
	BadIfMatch:        {http.StatusBadRequest, "If-Match is not an offset"},
	BadNote:           {http.StatusBadRequest, "The note is too long or not text"},
	UnknownPush:       {http.StatusNotFound, "No push is known by that Idempotency-Key"},
	Trimmed:           {http.StatusGone, "The log no longer has what follows that offset"},
	LogRewound:        {http.StatusConflict, "The log ends before that offset"},
	NoSnapshot:        {http.StatusNotFound, "There is no such snapshot here"},
	Busy:              {http.StatusServiceUnavailable, "As many transfers as are served at once are under way"},
	NeedsApproval:     {http.StatusConflict, "The push changes more than is allowed without an approval; it is held"},
	SameToken:         {http.StatusForbidden, "Another token than the pusher's must approve"},
	UnknownHeld:       {http.StatusNotFound, "No push is held under that id"},
	TooManyHeld:       {http.StatusConflict, "The push needs an approval, and no more can be held"},
	PreviewDiffers:    {http.StatusPreconditionFailed, "The change is not the one that was shown"},
	TooFarBack:        {http.StatusGone, "What held then is not kept any more"},
	TooStale:          {http.StatusServiceUnavailable, "The table is older than the issuer allows"},
	NoEdge:            {http.StatusUnauthorized, "Only an edge may ask that"},
	NotEnrolled:       {http.StatusForbidden, "That edge is not enrolled"},
	BadJoinToken:      {http.StatusForbidden, "The join token opens nothing"},
	EdgeExists:        {http.StatusConflict, "There is an edge of that name"},
	UnknownEdge:       {http.StatusNotFound, "There is no edge of that name"},
	OffsetAhead:       {http.StatusConflict, "The issuer's log does not go so far"},
	NotReached:        {http.StatusGatewayTimeout, "Not all edges have reached the offset"},
	NotFound:          {http.StatusNotFound, "There is nothing at this path"},
	MethodNotAllowed:  {http.StatusMethodNotAllowed, "This path does not take that method"},
	BadRequest:        {http.StatusBadRequest, "The request could not be read"},
}

// Status returns the HTTP status that goes with the word, or 500 for a word that this version does not know.
func (t ProblemType) Status() int {
	if p, ok := problems[t]; ok {
		return p.status
	}
	return http.StatusInternalServerError
}

// Title returns the English sentence that goes with the word.
func (t ProblemType) Title() string { return problems[t].title }

// Problem is an error answer of an edge or an origin: problem details as in RFC 9457. It is an error, found with errors.As.
type Problem struct {
	Type   ProblemType `json:"type"`
	Title  string      `json:"title,omitempty"`
	Status int         `json:"status"`
	Detail string      `json:"detail,omitempty"` // what was wrong with this request, and what to do
	Lines  []BadLine   `json:"lines,omitempty"`  // with bad-lines: the first 20
	Bad    int         `json:"bad,omitempty"`    // with bad-lines: how many in all

	ID       string   `json:"id,omitempty"`       // with needs-approval: that of the held push
	Figures  *Figures `json:"figures,omitempty"`  // with needs-approval: what the push would do
	Earliest *uint64  `json:"earliest,omitempty"` // with too-far-back: the first offset that can be gone back to
	AheadS   int64    `json:"ahead_s,omitempty"`  // with clock-ahead: seconds that the phone's clock is ahead, at the least
	Reached  []string `json:"reached,omitempty"`  // with not-reached: the edges that show the offset
	Missing  []string `json:"missing,omitempty"`  // and those that do not
}

// BadLine says why a line of a push is no delta. Lines count from 1, a CSV header included.
type BadLine struct {
	Line  int    `json:"line"`
	Field string `json:"field,omitempty"`
	Why   string `json:"why"`
}

// NewProblem makes the problem that t names, with its status and title.
func NewProblem(t ProblemType, detail string) *Problem {
	return &Problem{Type: t, Title: t.Title(), Status: t.Status(), Detail: detail}
}

// Error says the word, the detail and the first bad line.
func (p *Problem) Error() string {
	s := string(p.Type)
	if p.Detail != "" {
		s += ": " + p.Detail
	} else if p.Title != "" {
		s += ": " + p.Title
	}
	if len(p.Lines) > 0 {
		s += fmt.Sprintf(" (%s)", p.Lines[0])
	}
	return s
}

// String reads like `line 7: status: unknown status "blue"`.
func (b BadLine) String() string {
	if b.Field == "" {
		return fmt.Sprintf("line %d: %s", b.Line, b.Why)
	}
	return fmt.Sprintf("line %d: %s: %s", b.Line, b.Field, b.Why)
}

// Write answers an HTTP request with the problem, and with the headers that its status calls for.
func (p *Problem) Write(rw http.ResponseWriter) {
	h := rw.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	rw.WriteHeader(p.Status)
	_, _ = rw.Write(p.JSON()) // what fails here is the connection
}

// JSON is the problem as an application/problem+json body.
func (p *Problem) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem holds only strings and numbers
	}
	return b
}
