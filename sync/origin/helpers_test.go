package origin

import (
	"os"
	"testing"

	"github.com/scanedge/scanedge/sync/delta"
)

// anyNumber lets a push have as many deltas as it has.
func anyNumber(int) (int, error) { return delta.DefaultLimits.Deltas, nil }

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
