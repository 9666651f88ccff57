package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// local is a client that gives up on a server that stands still.
var local = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, ResponseHeaderTimeout: 30 * time.Second}}

// answer is what an HTTP server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// is reports whether the answer is a problem of that type.
func (a answer) is(want scanedge.ProblemType) bool {
	var p scanedge.Problem
	return json.Unmarshal(a.body, &p) == nil && p.Type == want
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// call makes one request; headers are name, value, name, value.
func call(ctx context.Context, method, url, token string, body []byte, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := local.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, err = io.ReadAll(res.Body)
	return a, err
}

// push sends a CSV body once, with a key if it is not empty.
func (n *node) push(ctx context.Context, issuer, key string, body []byte) (scanedge.Receipt, error) {
	headers := []string{"Content-Type", scanedge.CSV}
	if key != "" {
		headers = append(headers, "Idempotency-Key", key)
	}
	a, err := call(ctx, http.MethodPost, n.at.API+"/v1/issuers/"+issuer+"/deltas", n.pushToken, body, headers...)
	var r scanedge.Receipt
	if err == nil && a.status != http.StatusOK {
		err = refusedError{a}
	}
	if err == nil {
		err = json.Unmarshal(a.body, &r)
	}
	return r, err
}

type refusedError struct{ answer }

func (r refusedError) Error() string { return "refused: " + r.answer.String() }

// refused reports whether a push was refused with a problem of that type.
func refused(err error, want scanedge.ProblemType) bool {
	no := refusedError{}
	return errors.As(err, &no) && no.is(want) && no.status == want.Status()
}

// pushSurely sends a body with its key until it is acknowledged. Nothing but an origin that is away may keep it from that.
func (n *node) pushSurely(ctx context.Context, issuer, key string, body []byte) (scanedge.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		within, cancel := context.WithTimeout(ctx, 10*time.Second)
		r, err := n.push(within, issuer, key, body)
		cancel()
		if no := (refusedError{}); err == nil || ctx.Err() != nil || errors.As(err, &no) && no.status < 500 {
			return r, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// mustPush is pushSurely in a test that can't go on without.
func (n *node) mustPush(t *testing.T, issuer, key string, body []byte) scanedge.Receipt {
	t.Helper()
	r, err := n.pushSurely(t.Context(), issuer, key, body)
	if err != nil {
		t.Fatalf("push to %s: %v", issuer, err)
	}
	return r
}

// Subjects of these tests carry a number, which only grows: the minute until which their record holds.
var numberZero = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func numbered(n int) time.Time { return numberZero.Add(time.Duration(n) * time.Minute) }

func numberOf(until time.Time) int { return int(until.Sub(numberZero) / time.Minute) }

// rows is a CSV body that gives the subjects PREFIX-from to PREFIX-(to-1) number n.
func rows(prefix string, from, to, n int) []byte {
	end := ",green," + numbered(n).Format(time.RFC3339) + "\n"
	b := append(make([]byte, 0, 30+(to-from)*(len(prefix)+len(end)+8)), "subject,status,until\n"...)
	for i := from; i < to; i++ {
		b = append(append(b, prefix...), '-')
		b = append(strconv.AppendInt(b, int64(i), 10), end...)
	}
	return b
}

// mustAllBe checks that the subjects PREFIX-from to PREFIX-(to-1) have number want on every edge. It looks at the answers' bytes:
// to read a million of them as JSON would take longer than all that is tested.
func mustAllBe(t *testing.T, all []*node, origin *node, iss, prefix string, from, to, want int) {
	t.Helper()
	const most = 10_000 // codes of one request
	until := []byte(`"until":"` + numbered(want).Format(time.RFC3339) + `"`)
	for ; from < to; from += most {
		var codes []byte
		for i := from; i < min(from+most, to); i++ {
			codes = append(append(codes, code(iss, prefix, i)...), '\n')
		}
		for _, e := range all {
			a, err := call(t.Context(), http.MethodPost, e.at.Scan+"/v1/scan", origin.scannerKey, codes,
				"Content-Type", "text/plain; charset=utf-8", "Accept", "application/x-ndjson")
			if err != nil || a.status != http.StatusOK {
				t.Fatalf("%s: %v, %v", e.name, a, err)
			}
			i := from
			for line := range bytes.Lines(a.body) {
				if !bytes.Contains(line, until) {
					t.Fatalf(wrong+"%s: %s-%d must have number %d (%s): %s", e.name, prefix, i, want, until, line)
				}
				i++
			}
			if i != min(from+most, to) {
				t.Fatalf("%s: %d answers, not %d", e.name, i-from, min(from+most, to)-from)
			}
		}
	}
}

// chain reads an issuer's log through the origin and checks that its records are chained. It may be asked again for what
// has come since.
type chain struct {
	issuer string
	at     cache.Position
	keys   map[string]int // how often each idempotency key is in the log
}

// read reads on to the end.
func (c *chain) read(t *testing.T, o *node) {
	t.Helper()
	for {
		url := fmt.Sprintf("%s/v1/issuers/%s/records?after=%d&limit=50", o.at.API, c.issuer, c.at.Offset)
		a, err := call(t.Context(), http.MethodGet, url, o.pushToken, nil)
		for tries := 0; tries < 10 && err == nil && a.status == http.StatusServiceUnavailable; tries++ { // it says to ask again
			time.Sleep(time.Second)
			a, err = call(t.Context(), http.MethodGet, url, o.pushToken, nil)
		}
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("records of %s after %d: %v, %v", c.issuer, c.at.Offset, a, err)
		}
		if len(a.body) == 0 {
			return
		}
		for rest := a.body; len(rest) > 0; {
			size := binary.LittleEndian.Uint32(rest)
			c.take(t, rest[4:4+size])
			rest = rest[4+size:]
		}
	}
}

func (c *chain) take(t *testing.T, record []byte) {
	t.Helper()
	head, body, hash, err := issuer.Open(record)
	if err == nil {
		err = head.Follows(c.at, c.issuer, head.Offset)
	}
	if err != nil {
		t.Fatalf("after %s: %v", c.at, err)
	}
	c.at = cache.Position{Offset: head.Offset, Hash: hash}
	if head.Kind != issuer.Batch {
		return
	}
	batch, err := delta.ParseBatch(body)
	if err != nil {
		t.Fatal(err)
	}
	if batch.Key != "" {
		c.keys[batch.Key]++
	}
}

// trimmed reports whether the log no longer has what follows an offset.
func (n *node) trimmed(t *testing.T, issuer string, after uint64) bool {
	t.Helper()
	url := fmt.Sprintf("%s/v1/issuers/%s/records?after=%d&limit=1", n.at.API, issuer, after)
	a, err := call(t.Context(), http.MethodGet, url, n.pushToken, nil)
	return err == nil && a.is(scanedge.Trimmed)
}

// addIssuer makes an issuer while the origin runs; settings is JSON or "".
func (n *node) addIssuer(t *testing.T, id, settings string) {
	t.Helper()
	a, err := call(t.Context(), http.MethodPut, n.at.Admin+"/v1/issuers/"+id, n.adminToken, []byte(settings))
	if err != nil || a.status != http.StatusCreated {
		t.Fatalf("make issuer %s: %v, %v", id, a, err)
	}
}

// code is the plain code of subject PREFIX-i.
func code(issuer, prefix string, i int) string { return issuer + ":" + prefix + "-" + strconv.Itoa(i) }
