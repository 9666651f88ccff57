package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	askEvery  = 25 * time.Millisecond
	askLimit  = 2 * time.Second // for one question
	tellEvery = 5 * time.Second // how often people hear what is being waited for
)

// await asks until the answer is nil or ctx ends, and tells people what it waits for when that takes long.
func (f *Fleet) await(ctx context.Context, ask func(context.Context) error) error {
	told := time.Now()
	for {
		asking, cancel := context.WithTimeout(ctx, askLimit)
		err := ask(asking)
		cancel()
		if err == nil {
			return nil
		}
		if !sleep(ctx, askEvery) {
			return fmt.Errorf("%w while waiting: %w", context.Cause(ctx), err)
		}
		if time.Since(told) >= tellEvery {
			f.note("still waiting: %v", err)
			told = time.Now()
		}
	}
}

// awaitReady waits until the process says that it is ready. It may die and come back meanwhile.
func (f *Fleet) awaitReady(ctx context.Context, c *child) error {
	return f.await(ctx, func(ctx context.Context) error {
		body, err := get(ctx, c.admin+"/readyz")
		if err != nil {
			return fmt.Errorf("%s is not ready: %w", c.name, err)
		}
		return body.Close()
	})
}

// awaitEdges waits until every edge is ready and holds what was pushed up to the offsets given by issuer.
func (f *Fleet) awaitEdges(ctx context.Context, acked map[string]uint64) error {
	for _, c := range f.edges {
		if err := f.awaitReady(ctx, c); err != nil {
			return err
		}
		err := f.await(ctx, func(ctx context.Context) error {
			m, err := ReadMetrics(ctx, c.admin)
			if err != nil {
				return err
			}
			for issuer, want := range acked {
				if at, _ := m.Issuer("scanedge_offset", issuer); at < float64(want) {
					return fmt.Errorf("%s is at offset %.0f of %s; the demo subjects end at %d", c.name, at, issuer, want)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readTokens takes over the tokens that the origin made for itself at its first start.
func (f *Fleet) readTokens() error {
	path := filepath.Join(f.origin.dir, "tokens.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the origin listens, but its tokens cannot be read: %w", err)
	}
	var tokens struct {
		Admin   string `json:"admin_token"`
		Push    string `json:"push_token"`
		Scanner string `json:"scanner_key"`
	}
	if err := json.Unmarshal(b, &tokens); err != nil {
		return fmt.Errorf("%s holds no tokens: %w", path, err)
	}
	f.update(func(up *Up) {
		up.AdminToken, up.PushToken, up.ScannerKey = tokens.Admin, tokens.Push, tokens.Scanner
		up.ScannerKeys = []string{tokens.Scanner}
	})
	return nil
}
