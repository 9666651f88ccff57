package origin

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/issuer"
)

// What an issuer's held pushes are bounded by.
const (
	heldFor   = 24 * time.Hour // as long as a push's key is known
	heldMost  = 64
	heldBytes = 256 << 20
)

// held is the pushes of an issuer that wait for an approval, each a file in a folder. It is safe for concurrent use.
type held struct {
	dir    string // named by the issuer, as are the ids
	logger *slog.Logger

	mu   sync.Mutex // guards
	list map[string]*heldPush
}

var (
	errManyHeld = errors.New("as many pushes are held as may be")
	errNotHeld  = errors.New("no such push is held")
	errApplying = errors.New("it is being applied")
)

// openHeld reads the folder, made if need be. A file that is not whole is named in the log, and left.
func openHeld(dir string, logger *slog.Logger) (*held, error) {
	h := &held{dir: dir, logger: logger, list: map[string]*heldPush{}}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = durable.RemoveLeftovers(dir)
	}
	var files []fs.DirEntry
	if err == nil {
		files, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open the held pushes: %w", err)
	}
	for _, f := range files {
		p, _, err := readHeld(filepath.Join(dir, f.Name()))
		if err != nil {
			logger.Error("a held push is lost", "err", err)
			continue
		}
		h.list[p.ID] = p
	}
	return h, nil
}

func (h *held) path(id string) string { return filepath.Join(h.dir, id) }

// add keeps a push until somebody approves it. One that is held already keeps its id; another one with its key is errKeyReused.
func (h *held) add(p *push, why string) (*heldPush, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire()
	sum := p.sum
	if sum == (delta.Sum{}) {
		sum = p.batch.Sum()
	}
	n := &heldPush{
		Version: heldVersion, ID: filepath.Base(h.dir) + "-" + strings.ToLower(rand.Text()[:12]), Token: p.from.id, Pusher: p.from.name, Note: p.batch.Note, Key: p.batch.Key,
		IfMatch: p.ifMatch, Run: p.run, Time: time.Now(), Deltas: p.batch.Len(), Why: why, Sum: hex.EncodeToString(sum[:]),
	}
	size := int64(p.size())
	for _, other := range h.list {
		switch {
		case other.Key == n.Key && other.Sum == n.Sum && other.Token == n.Token && sameMatch(other.IfMatch, n.IfMatch):
			return other, nil
		case n.Key != "" && other.Key == n.Key && other.Sum != n.Sum:
			return nil, errKeyReused
		}
		size += other.Bytes
	}
	if len(h.list) >= heldMost || size > heldBytes {
		return nil, errManyHeld
	}
	_, body, _, err := issuer.Open(append(p.record, make([]byte, ed25519.SignatureSize)...))
	if err == nil {
		err = n.write(h.path(n.ID), body)
	}
	if err != nil {
		return nil, err
	}
	h.list[n.ID] = n
	return n, nil
}

func sameMatch(a, b *uint64) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// expire drops what nobody has approved in time. Its caller holds mu.
func (h *held) expire() {
	for id, p := range h.list {
		if age := time.Since(p.Time); age > heldFor && !p.applying {
			h.logger.Info("a held push was not approved in time and is dropped", "id", id, "pusher", p.Pusher)
			_ = h.remove(id)
		}
	}
}

// remove forgets a push. Its caller holds mu.
func (h *held) remove(id string) error {
	if err := os.Remove(h.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop a held push: %w", err)
	}
	delete(h.list, id)
	return nil
}

// all returns the pushes that are held, the oldest first.
func (h *held) all() []*heldPush {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire()
	list := make([]*heldPush, 0, len(h.list))
	for _, p := range h.list {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *heldPush) int { return a.Time.Compare(b.Time) })
	return list
}

// find returns a push that is held.
func (h *held) find(id string) (*heldPush, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire()
	p, ok := h.list[id]
	if !ok {
		return nil, errNotHeld
	}
	return p, nil
}

// drop forgets a push that is held and not being applied.
func (h *held) drop(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch p, ok := h.list[id]; {
	case !ok:
		return errNotHeld
	case p.applying:
		return errApplying
	}
	return h.remove(id)
}

// apply calls f for a push that is held, for one caller at a time, and forgets the push if f succeeds.
func (h *held) apply(id string, f func() error) error {
	h.mu.Lock()
	h.expire()
	p, ok := h.list[id]
	if !ok || p.applying {
		h.mu.Unlock()
		if ok {
			return errApplying
		}
		return errNotHeld
	}
	p.applying = true
	h.mu.Unlock()
	err := f()
	h.mu.Lock()
	defer h.mu.Unlock()
	p.applying = false
	if err != nil {
		return err
	}
	if err := h.remove(id); err != nil {
		h.logger.Error("a push was approved and applied; its file stays, and applies nothing twice", "err", err)
		delete(h.list, id)
	}
	return nil
}

// hold keeps a push that changes too much, and says so.
func (w *writer) hold(p *push, e heldError) *scanedge.Problem {
	h, err := w.held.add(p, e.why)
	switch {
	case errors.Is(err, errManyHeld):
		return scanedge.NewProblem(scanedge.TooManyHeld, fmt.Sprintf("%s; %v: approve or drop some, then push it again", e.why, err))
	case errors.Is(err, errKeyReused):
		return w.refusal(p, err)
	case err != nil:
		w.logger.Error("a push was not held", "err", err)
		return scanedge.NewProblem(scanedge.LogFull, "the push needs an approval and could not be kept for it; make room on the disk of the "+
			"data folder, then send it again")
	}
	problem := scanedge.NewProblem(scanedge.NeedsApproval,
		fmt.Sprintf("%s; nothing of it was applied. It is held for 24 hours, for another token to approve: scanedge approve %s", e.why, h.ID))
	figures := e.tally.figures()
	problem.ID, problem.Figures = h.ID, &figures
	w.logger.Warn("a push is held", "id", h.ID, "pusher", h.Pusher, "why", e.why)
	return problem
}
