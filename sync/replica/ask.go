package replica

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// askWithin bounds one call to the origin; maxAnswer its answer, in bytes.
const (
	askWithin = 5 * time.Second
	maxAnswer = 16 << 20
)

// errNoSnapshot is the error of an issuer of which the origin has written none yet.
var errNoSnapshot = errors.New("the origin has no snapshot yet, nor the log all that it would replace; wait for the origin's first")

// origin is what an edge asks over HTTP.
type origin struct {
	url    string // base
	client *http.Client
	standing
}

// stream begins a request of which the answer does not end by itself. It ends with ctx.
func (o *origin) stream(ctx context.Context, path string) (*http.Response, error) {
	return o.begun(o.send(ctx, http.MethodGet, path, nil))
}

// begun passes on an answer that does not end by itself; one that refuses it becomes an error.
func (o *origin) begun(res *http.Response, err error) (*http.Response, error) {
	if err != nil || res.StatusCode == http.StatusOK {
		return res, err
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if problemIn(answer) == scanedge.LogRewound {
		return nil, fmt.Errorf("%w: %.300s", ErrRewound, answer)
	}
	return nil, o.refusal(res, answer)
}

// send makes a request as this edge.
func (o *origin) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, o.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return o.client.Do(req)
}

// offer asks for an issuer's newest snapshot.
func (o *origin) offer(ctx context.Context, issuer string) (s snapshot.Offer, err error) {
	err = o.do(ctx, http.MethodGet, "/v1/issuers/"+issuer+"/snapshot", nil, &s)
	if err != nil {
		return s, fmt.Errorf("ask the origin %s for a snapshot: %w", o.url, err)
	}
	return s, nil
}

// do makes one call; into takes its JSON answer, or nil.
func (o *origin) do(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	res, err := o.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case noSnapshot(res, answer):
		return errNoSnapshot
	case res.StatusCode/100 != 2:
		return o.refusal(res, answer)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("its answer is not what was asked for: %w", err)
	}
	return nil
}

// noSnapshot tells "there is none" from "there is no such place": a proxy's 404 must not make an edge read a whole log.
func noSnapshot(res *http.Response, answer []byte) bool {
	return res.StatusCode == http.StatusNotFound && problemIn(answer) == scanedge.NoSnapshot
}

// problemIn is the word of a problem, empty if the answer is none.
func problemIn(answer []byte) scanedge.ProblemType {
	var p scanedge.Problem
	_ = json.Unmarshal(answer, &p)
	return p.Type
}
