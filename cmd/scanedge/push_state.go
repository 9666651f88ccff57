package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

const (
	stateVersion = 1
	keysLive     = 24 * time.Hour // how long an origin knows a push by its key
)

// pushJob is what is pushed where, and how it is cut. Runs of the same job cut the same pieces.
type pushJob struct {
	Origin string `json:"origin"`
	Issuer string `json:"issuer"`
	File   string `json:"file"` // absolute; empty for what can't be read again
	content
	Format format `json:"format"`
	Piece  limits `json:"piece"`
}

// content tells a file from what it was before.
type content struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified_ns"` // since 1970
	Ends     string `json:"ends"`        // SHA-256 of the first and the last 64 KiB
}

// pushRun is one push of a job, and how far it has come. Piece n goes out with the key ID-n, n counting from 1.
type pushRun struct {
	pushJob
	ID       string  `json:"run"`
	IfMatch  *uint64 `json:"if_match,omitempty"` // as it was given, for the run's first piece
	Pieces   int     `json:"pieces"`             // acknowledged, also those without a delta
	Pushes   int     `json:"pushes"`             // those with one
	Count    int     `json:"count"`              // deltas acknowledged
	Offset   uint64  `json:"offset"`             // of the last push, 0 before the first
	Next     int     `json:"next"`               // number of the file's first line that is not acknowledged
	Position int64   `json:"position"`           // byte at which that line begins, in the file without compression
}

func newRun(job pushJob) pushRun { return pushRun{pushJob: job, ID: rand.Text(), Next: 1} }

// key is the Idempotency-Key of the piece behind those that are acknowledged.
func (r *pushRun) key() string { return r.ID + "-" + strconv.Itoa(r.Pieces+1) }

// stateFile remembers a run that has not ended, so that the same command can go on with it. Two processes that go on with one
// run at once do no harm: they send the same pieces with the same keys.
type stateFile struct {
	path string
	now  func() time.Time
}

// state is a state file's content. Its sum is over the rest.
type state struct {
	Version int       `json:"version"`
	Saved   time.Time `json:"saved"`
	pushRun
	Sum string `json:"sum"`
}

// openState makes the folder of the state of job: dir, or for "" the user's own.
func openState(dir string, job pushJob) (*stateFile, error) {
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(base) {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, err
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "scanedge", "push")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := sha256.Sum256([]byte(job.Origin + "\x00" + job.Issuer + "\x00" + job.File))
	return &stateFile{filepath.Join(dir, hex.EncodeToString(name[:16])+".json"), time.Now}, nil
}

// resume returns the run of job to go on with, or a new one; and, if a run was remembered that can't be gone on with, why.
func (s *stateFile) resume(job pushJob) (run pushRun, resumed bool, why error) {
	old, err := s.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newRun(job), false, nil
	case err != nil:
		return newRun(job), false, err
	}
	switch age := s.now().Sub(old.Saved).Abs(); {
	case age > keysLive:
		why = fmt.Errorf("it was cut %s ago, and an origin knows pushes for %s", age.Round(time.Hour), keysLive)
	case old.content != job.content:
		why = errors.New("the file has changed since")
	case old.pushJob != job:
		why = errors.New("it was cut into other pieces")
	default:
		return old.pushRun, true, nil
	}
	return newRun(job), false, why
}

// load returns an error that is fs.ErrNotExist when nothing is remembered.
func (s *stateFile) load() (state, error) {
	b, err := os.ReadFile(s.path)
	if err != nil {
		return state{}, err
	}
	old, err := parseState(b)
	if err != nil {
		return state{}, fmt.Errorf("%s %w", s.path, err)
	}
	return old, nil
}

func parseState(b []byte) (state, error) {
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil {
		return state{}, fmt.Errorf("is not whole: %w", err)
	}
	if v.Version != stateVersion {
		return state{}, fmt.Errorf("is of version %d, and this scanedge reads %d", v.Version, stateVersion)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("is not whole: %w", err)
	}
	if s.Sum != s.sum() {
		return state{}, errors.New("is not whole: its sum is wrong")
	}
	return s, nil
}

func (s state) sum() string {
	s.Sum = ""
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a state holds only strings, numbers and a time
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (s *stateFile) save(run pushRun) error {
	st := state{Version: stateVersion, Saved: s.now().UTC(), pushRun: run}
	st.Sum = st.sum()
	return durable.WriteJSON(s.path, st)
}

// forget removes the file, and what a save left behind that was killed.
func (s *stateFile) forget() {
	_ = os.Remove(s.path)
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "."+filepath.Base(s.path)+"-*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// contentOf looks at an open file, and leaves its offset where it is.
func contentOf(f *os.File) (content, error) {
	info, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	const end = 64 << 10
	h := sha256.New()
	for _, at := range []int64{0, max(0, info.Size()-end)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, end)); err != nil {
			return content{}, err
		}
	}
	return content{info.Size(), info.ModTime().UnixNano(), hex.EncodeToString(h.Sum(nil))}, nil
}
