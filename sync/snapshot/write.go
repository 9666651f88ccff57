package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/issuer"
)

// Write makes a signed snapshot of a table while readers and the writer go on, and returns once it is on disk. state is called
// after the table was written; what it returns lies beside the table, see [Store.State]. A nil state keeps none. An end of ctx
// ends the writing; after any error the folder is as it was.
func (s *Store) Write(ctx context.Context, t *cache.Table, secret *issuer.Secret, epoch uint64, state func() []byte) (File, error) {
	f, err := s.write(ctx, t, secret, epoch, state)
	if err != nil {
		return File{}, fmt.Errorf("write a snapshot of %s to %s: %w", s.pub.ID, s.dir, err)
	}
	return f, nil
}

func (s *Store) write(ctx context.Context, t *cache.Table, secret *issuer.Secret, epoch uint64, state func() []byte) (File, error) {
	began := time.UnixMilli(time.Now().UnixMilli()).UTC() // as the manifest can say it
	tmp, err := durable.Create(s.dir)
	if err != nil {
		return File{}, err
	}
	defer tmp.Discard()
	w := partWriter{ctx: ctx, file: tmp.File, hash: sha256.New()}
	t.Describe(s.pub.ID, s.pub.Seed.ID())
	if _, err := t.WriteParts(&w, w.ended); err != nil {
		return File{}, err
	}
	says, err := inspect(tmp.File)
	if err != nil {
		return File{}, err
	}
	manifest, _ := issuer.SignManifest(issuer.Snapshot{
		Issuer: s.pub.ID, Epoch: epoch, Began: says.Began, Time: began, Parts: issuer.Parts{To: says.To, Parts: w.parts},
	}, secret)
	f, err := s.verify(manifest)
	if err != nil {
		return File{}, err
	}
	var kept []byte
	if state != nil {
		kept = state()
	}
	return f, s.adopt(f, kept, tmp.Commit)
}

// inspect reads what a table's file says of itself.
func inspect(file *os.File) (cache.Snapshot, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return cache.Snapshot{}, err
	}
	return cache.InspectSnapshot(file)
}

// partWriter writes a table's file and hashes its parts.
type partWriter struct {
	ctx   context.Context
	file  *os.File
	hash  hash.Hash
	size  int64 // of the part so far
	parts []issuer.Part
}

func (w *partWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	_, _ = w.hash.Write(b)
	n, err := w.file.Write(b)
	w.size += int64(n)
	return n, err
}

// ended is called between two parts.
func (w *partWriter) ended() error {
	w.parts = append(w.parts, issuer.Part{Size: w.size, SHA256: issuer.Hash(w.hash.Sum(nil))})
	w.hash.Reset()
	w.size = 0
	return nil
}

// A state's file:
//
//	size
//	   8  "SEstate\n"
//	  16  id of the snapshot
//	   …  state
//	  32  SHA-256 of all before it
const (
	stateMagic = "SEstate\n"
	stateHead  = len(stateMagic) + 16
)

func sealState(f File, state []byte) []byte {
	id, _ := hex.DecodeString(f.ID) // it is hex
	b := append(append([]byte(stateMagic), id...), state...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// State returns what the state function of Write returned. The error is fs.ErrNotExist if it was nil.
func (s *Store) State(f File) ([]byte, error) {
	path := s.path(f.name() + stateExt)
	b, err := os.ReadFile(path)
	if err == nil {
		n := len(b) - sha256.Size
		if n < stateHead || !bytes.Equal(b, sealState(f, b[stateHead:n])) {
			err = errors.New("it is damaged, or another snapshot's")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the state beside a snapshot of %s from %s: %w", s.pub.ID, path, err)
	}
	return b[stateHead : len(b)-sha256.Size], nil
}
