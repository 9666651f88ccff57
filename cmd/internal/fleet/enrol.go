package fleet

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/enrol"
)

// enrol sees to it that an edge is one that the origin knows, or has a token to become one. The demo's edges may read every issuer.
func (f *Fleet) enrol(ctx context.Context, c *child) error {
	up := f.Up()
	origin := scanedge.NewOperator(up.Origin, up.AdminToken)
	dir, path := filepath.Join(c.dir, "identity"), "/v1/edges/"+c.name
	var known enrol.Edge
	err := origin.Call(ctx, "ask for the edge "+c.name, http.MethodGet, path, nil, &known)
	if refusal := (*scanedge.Problem)(nil); err != nil && !(errors.As(err, &refusal) && refusal.Type == scanedge.UnknownEdge) {
		return err
	}
	id, err := enrol.Load(dir)
	if err == nil && known.Revoked.IsZero() && known.Key == id.Key() && time.Now().Before(id.Ends()) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil { // a key that was given up is not taken again
		return err
	}
	var e scanedge.Enrolment
	body := map[string]any{"issuers": []string{enrol.All}, "replace": true}
	err = origin.Call(ctx, "enrol the edge "+c.name, http.MethodPut, path, body, &e)
	c.join = e.Token
	return err
}
