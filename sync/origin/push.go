package origin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/delta"
)

// slowBody is how long a push may go without a byte of its body arriving. Tests shorten it.
var slowBody = 30 * time.Second

// servePush answers POST /v1/issuers/{issuer}/deltas: all of the push or nothing.
func (o *Origin) servePush(rw http.ResponseWriter, req *http.Request) {
	receipt, problem := o.push(rw, req)
	if problem != nil {
		o.count(req.PathValue("issuer"), string(problem.Type))
		problem.Write(rw)
		return
	}
	o.count(req.PathValue("issuer"), "ok")
	writeJSON(rw, receipt)
}

func (o *Origin) push(rw http.ResponseWriter, req *http.Request) (scanedge.Receipt, *scanedge.Problem) {
	fail := func(t scanedge.ProblemType, detail string) (scanedge.Receipt, *scanedge.Problem) {
		return scanedge.Receipt{}, scanedge.NewProblem(t, detail)
	}
	if req.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		return fail(scanedge.MethodNotAllowed, "push with POST")
	}
	pusher, ok := o.pushers.Name(bearer(req))
	if !ok {
		return fail(scanedge.NoToken, "send a push token as Authorization: Bearer …")
	}
	w := o.writers[req.PathValue("issuer")]
	if w == nil {
		return fail(scanedge.UnknownIssuer, fmt.Sprintf("this origin has no issuer %q", req.PathValue("issuer")))
	}
	deltas, problem := readDeltas(w, steady(rw, req), req.Header)
	if problem != nil {
		return scanedge.Receipt{}, problem
	}
	// The body is here. The server goes on reading the connection to see it close, and would take steady's deadline for that.
	_ = http.NewResponseController(rw).SetReadDeadline(time.Time{})
	offset, err := w.submit(req.Context(), &push{pusher: pusher, deltas: deltas})
	if errors.Is(err, errHungUp) {
		return fail(scanedge.BodyCut, "the pusher hung up before its push's turn came")
	}
	if err != nil {
		w.logger.Error("push not acknowledged", "deltas", len(deltas), "err", err)
		return fail(scanedge.LogUnavailable, "the push is not acknowledged; send it again, for applying a delta twice changes nothing")
	}
	return scanedge.Receipt{Offset: offset, Count: len(deltas)}, nil
}

// readDeltas reads the body as keyed deltas: subject ids end here.
func readDeltas(w *writer, body io.Reader, header http.Header) ([]delta.Delta, *scanedge.Problem) {
	plain, problem := decompress(body, header.Get("Content-Encoding"))
	if problem != nil {
		return nil, problem
	}
	in := bufio.NewReaderSize(plain, 64<<10)
	head, err := in.Peek(512)
	if err != nil && err != io.EOF { // the body says only once that it was cut
		return nil, pushProblem(err)
	}
	var deltas []delta.Delta
	seed := w.secret.Seed
	_, err = delta.Read(in, delta.Sniff(header.Get("Content-Type"), head), delta.DefaultLimits, func(r delta.Row) {
		deltas = append(deltas, delta.Delta{Key: seed.Key(r.Subject), Record: r.Record})
	})
	if err != nil {
		return nil, pushProblem(err)
	}
	if len(deltas) == 0 {
		return nil, scanedge.NewProblem(scanedge.NoDeltas, "the body has no line that is a delta")
	}
	return deltas, nil
}

// errEncoding marks a failure of the compression and not of the connection below it.
var errEncoding = errors.New("gzip")

func decompress(body io.Reader, encoding string) (io.Reader, *scanedge.Problem) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, scanedge.NewProblem(scanedge.BadEncoding, fmt.Sprintf("the body is no gzip: %v", err))
		}
		return gzipErrors{z}, nil
	default:
		return nil, scanedge.NewProblem(scanedge.UnsupportedCoding, fmt.Sprintf("Content-Encoding %q; send gzip or none", encoding))
	}
}

type gzipErrors struct{ io.Reader }

func (g gzipErrors) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errEncoding, err)
	}
	return n, err
}

// pushProblem says what was wrong with the text.
func pushProblem(err error) *scanedge.Problem {
	var bad *delta.BadLinesError
	var limit *delta.LimitError
	switch {
	case errors.As(err, &bad):
		p := scanedge.NewProblem(scanedge.BadLines, "")
		p.Bad = bad.Bad
		for _, l := range bad.Lines {
			p.Lines = append(p.Lines, scanedge.BadLine(l))
		}
		return p
	case errors.As(err, &limit):
		word := map[string]scanedge.ProblemType{
			delta.LimitDeltas: scanedge.TooManyDeltas,
			delta.LimitBytes:  scanedge.TooLarge,
			delta.LimitLine:   scanedge.LineTooLong,
		}[limit.What]
		return scanedge.NewProblem(word, limit.Error())
	case errors.Is(err, errEncoding):
		return scanedge.NewProblem(scanedge.BadEncoding, err.Error())
	default:
		return scanedge.NewProblem(scanedge.BodyCut, err.Error())
	}
}

// steady is the request's body, cut off when nothing comes for slowBody: nobody holds a half-read push in memory for ever.
func steady(rw http.ResponseWriter, req *http.Request) io.Reader {
	return &steadyReader{req.Body, http.NewResponseController(rw)}
}

type steadyReader struct {
	body io.Reader
	conn *http.ResponseController
}

func (s *steadyReader) Read(b []byte) (int, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(slowBody)) // a test's recorder has no deadlines
	return s.body.Read(b)
}

// bearer is the token of the request, nil if it has none.
func bearer(req *http.Request) []byte {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return []byte(strings.TrimSpace(token))
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(rw).Encode(v) // what fails here is the connection
}
