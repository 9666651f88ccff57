package replica

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/scanedge/scanedge/sync/access"
)

// fetchWithin bounds one call to the origin; maxBootstrap its answer, in bytes.
const (
	fetchWithin  = 5 * time.Second
	maxBootstrap = 16 << 20
)

// Fetch asks the origin at a base URL for all that an edge needs to know. The token may be empty on the origin's machine.
func Fetch(ctx context.Context, origin, token string) (access.Bootstrap, error) {
	b, err := fetch(ctx, origin+"/v1/bootstrap", token)
	if err != nil {
		return b, fmt.Errorf("ask the origin %s for the log and the issuers: %w", origin, err)
	}
	return b, nil
}

func fetch(ctx context.Context, url, token string) (b access.Bootstrap, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return b, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return b, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBootstrap))
	if err != nil {
		return b, err
	}
	if res.StatusCode != http.StatusOK {
		return b, fmt.Errorf("it answers %s: %.300s", res.Status, body)
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return b, fmt.Errorf("its answer is no bootstrap: %w", err)
	}
	if b.Version != access.BootstrapVersion {
		return b, fmt.Errorf("it speaks version %d, this scanedge %d; run the same release on both", b.Version, access.BootstrapVersion)
	}
	return b, nil
}
