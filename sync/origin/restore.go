package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// Restored is what Restore made.
type Restored struct {
	Time    time.Time     `json:"backup_time"` // what was acknowledged before is there
	Issuers []IssuerState `json:"issuers"`     // with the offset of the last record
}

// Restore makes an origin's folder of a backup, which it verifies first: to must be empty but for what belongs to the process, and
// is of no use after an error or a crash. All that [Open] needs is there then but scanedge.json, which its caller copies last.
//
// An issuer's table becomes a snapshot. Of its log nothing is needed: a mark says where one that is gone begins anew. That is the
// clock in microseconds, and so is the first epoch: no log grows and no origin starts so fast, so they are higher than all that
// was ever given out, also after the backup and by an origin that was restored from it before. So an edge that is ahead finds
// another past at the next record, whatever it knows, and nothing of the time that was lost passes for newer than that.
func Restore(ctx context.Context, from, to string, now time.Time) (r Restored, err error) {
	says, err := VerifyBackup(from)
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s to %s: %w", from, to, err)
		}
	}()
	if now.Before(says.Time) {
		return r, fmt.Errorf("the clock says %s, and the backup was made at %s: set the clock",
			now.UTC().Format(time.RFC3339), says.Time.Format(time.RFC3339))
	}
	r.Time = says.Time
	if err := copyBackedUp(from, to); err != nil {
		return r, err
	}
	for _, place := range says.Issuers {
		state, err := restoreIssuer(ctx, from, to, place, now)
		if err != nil {
			return r, fmt.Errorf("issuer %s: %w", place.Issuer, err)
		}
		r.Issuers = append(r.Issuers, state)
	}
	return r, durable.SyncFolders(to)
}

// copyBackedUp copies the files that are the same in a backup and in an origin's folder.
func copyBackedUp(from, to string) error {
	folder := os.DirFS(from)
	for _, top := range append([]string{"issuers"}, backedUp[1:]...) {
		err := fs.WalkDir(folder, top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return copyInto(folder, name, filepath.Join(to, filepath.FromSlash(name)))
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyInto(folder fs.FS, name, to string) error {
	in, err := folder.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := durable.Create(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer out.Discard()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Commit(to)
}

// restoreIssuer makes an issuer's snapshot and mark.
func restoreIssuer(ctx context.Context, from, to string, place IssuerBackup, now time.Time) (s IssuerState, err error) {
	w, old, err := openBackedUp(from, place.Issuer)
	if err != nil {
		return s, err
	}
	if old != nil {
		if skipped, err := w.load(old); err != nil || skipped != nil {
			return s, errors.Join(skipped, err)
		}
	}
	if err := w.readRecords(from, w.apply); err != nil {
		return s, err
	}
	if w.at.Offset != place.Offset || !w.table.Exact() {
		return s, fmt.Errorf("%w: its records end at %s", errLess, w.at)
	}
	made, err := snapshot.Open(filepath.Join(to, "snapshots", place.Issuer), w.secret.Public())
	if err == nil {
		_, err = made.Write(ctx, &w.table, w.secret, w.past.epoch, w.past.state)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(to, marks), 0o700)
	}
	if err == nil {
		m := mark{markVersion, place.Offset, max(uint64(now.UnixMicro()), place.Offset+1)}
		err = durable.WriteJSON(markPath(to, place.Issuer), m)
	}
	return w.summary(), err
}

// mark says that an issuer's snapshot was restored, until its origin has begun to write: a log that is not there is none that was
// lost, but begins anew. A log that is there, kept elsewhere, is read on from the snapshot as ever.
type mark struct {
	Version int    `json:"version"`
	Offset  uint64 `json:"offset"` // of the snapshot
	First   uint64 `json:"first"`  // sequence at which the log begins anew; also the least epoch
}

const (
	marks       = "restored" // the folder
	markVersion = 1
)

func markPath(dir, issuer string) string { return filepath.Join(dir, marks, issuer+".json") }

// readMark returns an issuer's mark, the zero mark if there is none.
func readMark(dir, issuer string) (m mark, err error) {
	b, err := os.ReadFile(markPath(dir, issuer))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err == nil && m.Version != markVersion {
		err = fmt.Errorf("its version is %d, this scanedge knows %d", m.Version, markVersion)
	}
	if err != nil {
		return mark{}, fmt.Errorf("read %s: %w", markPath(dir, issuer), err)
	}
	return m, nil
}

// dropMark drops an issuer's mark, if it has one.
func dropMark(dir, issuer string) error {
	if err := os.Remove(markPath(dir, issuer)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
