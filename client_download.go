package scanedge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// downloadSilence is how long an origin may send nothing of a long answer.
const downloadSilence = 2 * time.Minute

// errSilence is why a download was given up.
var errSilence = fmt.Errorf("nothing came for %v", downloadSilence)

// Download makes one GET of the origin's API and lets take read the answer as it comes, whatever its size: for as long as something
// comes at least every two minutes. An error of take is returned as it is. See [Operator.Call].
func (o *Operator) Download(ctx context.Context, what, path, accept string, take func(io.Reader) error) error {
	c := call{what: what, method: http.MethodGet, path: path, accept: accept}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := o.server.request(ctx, c)
	if err != nil {
		return o.server.failed(c, err)
	}
	client := *o.server.http
	client.Timeout = 0
	resp, err := client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return o.server.failed(c, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return o.server.failed(c, refusal(resp, body))
	}
	body := &heard{resp.Body, time.AfterFunc(downloadSilence, func() { cancel(errSilence) })}
	defer body.silence.Stop()
	err = take(body)
	if err != nil && errors.Is(context.Cause(ctx), errSilence) {
		err = fmt.Errorf("%w (%w)", err, errSilence)
	}
	return err
}

// heard is an answer of which something is to come from time to time, while it is waited for.
type heard struct {
	body    io.Reader
	silence *time.Timer
}

func (h *heard) Read(b []byte) (int, error) {
	h.silence.Reset(downloadSilence)
	defer h.silence.Stop()
	return h.body.Read(b)
}
