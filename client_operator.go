package scanedge

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Operator asks one origin what only its operators may. It is safe for concurrent use and keeps its connections open.
type Operator struct{ server server }

// operatorWithin bounds a call whose context has no end of its own.
const operatorWithin = 5 * time.Minute

// NewOperator returns a client of the origin at baseURL with an admin token. Nothing is sent yet.
func NewOperator(baseURL, token string) *Operator {
	return &Operator{newServer(baseURL, token, operatorWithin)}
}

// Call makes one request of the origin's API: path is percent-encoded and begins with /v1/; body, unless nil, goes as JSON; answer,
// unless nil, takes the JSON that comes back. what says in words what is being done. What the origin refuses is a [*Problem] under the error.
func (o *Operator) Call(ctx context.Context, what, method, path string, body, answer any) error {
	c := call{what: what, method: method, path: path, accept: "application/json", again: method == http.MethodGet, made: true,
		cap: maxBatchAnswer}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return o.server.failed(c, err)
		}
		c.body, c.contentType = bytes.NewReader(b), "application/json"
	}
	b, err := o.server.do(ctx, c)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return o.server.failed(c, stranger("200 OK", b))
	}
	return nil
}
