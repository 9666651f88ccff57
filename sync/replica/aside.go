package replica

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/sync/durable"
)

// panicError is the error of a record that made the program panic.
type panicError struct {
	value  any
	stack  []byte
	record entry
}

func (e *panicError) Error() string {
	return fmt.Sprintf("applying it made this program panic: %v", e.value)
}

// setAside keeps a record that could not be applied, for whoever mends the program.
func (r *Replica) setAside(p *panicError) {
	path := filepath.Join(r.cfg.Dir, "set-aside", fmt.Sprintf("%s-%d.record", r.pub.ID, p.record.Seq))
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = durable.WriteFile(path, p.record.Record)
	}
	if err != nil {
		r.logger.Error("a record that can't be applied could not be set aside either", "err", err)
	}
	r.cfg.Metrics.GetOrCreateCounter(fmt.Sprintf("scanedge_set_aside_total{issuer=%q}", r.pub.ID)).Inc()
	r.logger.Error("a record made this program panic: its issuer's answers are stale from here on, the others' are not. The record is set aside: "+
		"report it with this line, and run a release that can apply it",
		"record", path, "panic", fmt.Sprint(p.value), "stack", string(p.stack))
}
