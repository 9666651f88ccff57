package origin

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// A backup is a folder, or the tar that GET /v1/backup makes of it:
//
//	issuers/ID.json                                    the issuer's secrets, or the paths that they are read from
//	access.json, tokens.json, edges.json, ca/, scanedge.json   as they lie in the origin's folder, those that are there
//	log/ID/OFFSET.records                              the log's records after the snapshot's place, the first of each file in its name
//	snapshots/ID/NAME.manifest, .state, .table         the newest snapshot, if there is one (sync/snapshot)
//	backup.json                                        a [Backup]
//	SHA256SUMS                                         of all of these, as sha256sum writes it; the last
//
// What has no SHA256SUMS is no backup, and one that differs from it by a byte is refused.
const (
	backupVersion = 1
	backupFile    = "backup.json"
	sumsFile      = "SHA256SUMS"
	failedFile    = "FAILED" // in the tar alone: why it ends here
)

// backedUp are the files and folders of an origin's folder that a backup holds beside issuers, snapshots and records.
var backedUp = []string{"scanedge.json", "access.json", "tokens.json", "edges.json", "ca"}

// chunkOf is how many bytes of records make a file of them.
var chunkOf = 16 << 20

// Backup is what a backup says of itself.
type Backup struct {
	Version int            `json:"version"`
	Time    time.Time      `json:"time"` // when it was asked for: what was acknowledged before is in it
	Issuers []IssuerBackup `json:"issuers"`
}

// IssuerBackup is how far an issuer's records are in a backup.
type IssuerBackup struct {
	Issuer string `json:"issuer"`
	Offset uint64 `json:"offset"` // of the last record
}

// serveBackup answers GET /v1/backup with a tar. It holds every secret of the origin.
func (o *Origin) serveBackup(rw http.ResponseWriter, req *http.Request) {
	if req.TLS == nil && !fromLoopback(req) {
		scanedge.NewProblem(scanedge.BadRequest,
			"a backup holds every secret of this origin: ask for it over TLS, or on the origin's machine").Write(rw)
		return
	}
	if why := o.ailing(); len(why) > 0 {
		scanedge.NewProblem(scanedge.SecretMissing, "the backup would lack issuers: "+strings.Join(why, "; ")).Write(rw)
		return
	}
	rw.Header().Set("Content-Type", "application/x-tar")
	rw.Header().Set("Cache-Control", "no-store")
	if req.Method == http.MethodHead {
		return
	}
	began := time.Now()
	conn := http.NewResponseController(rw)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	t := &tarball{Writer: tar.NewWriter(&steadyWriter{rw, conn}), flush: conn.Flush, sums: map[string][]byte{}}
	err := o.backUp(req.Context(), t)
	if err == nil {
		o.cfg.Logger.Info("backup sent", "bytes", t.size, "took", time.Since(began), o.operator(req).by())
		return
	}
	o.cfg.Logger.Error("a backup was not sent whole", "bytes", t.size, "err", err)
	if t.fail(err) != nil {
		panic(http.ErrAbortHandler)
	}
}

// steadyWriter hangs up on who takes nothing of an answer for long.
type steadyWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
}

func (w *steadyWriter) Write(b []byte) (int, error) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(slowReader)) // a test's recorder has no deadlines
	return w.ResponseWriter.Write(b)
}

// backUp sends a backup while pushes go on.
func (o *Origin) backUp(ctx context.Context, t *tarball) error {
	says := Backup{Version: backupVersion, Time: time.Now().UTC(), Issuers: []IssuerBackup{}}
	writers := o.sorted()
	names, err := o.filesToBackUp(writers)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.path(name, filepath.Join(o.cfg.Dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	for _, w := range writers {
		offset, err := w.backUp(ctx, t)
		if err != nil {
			return fmt.Errorf("back up %s: %w", w.secret.ID, err)
		}
		says.Issuers = append(says.Issuers, IssuerBackup{w.secret.ID, offset})
	}
	b, err := json.MarshalIndent(says, "", "  ")
	if err == nil {
		err = t.bytes(backupFile, append(b, '\n'))
	}
	if err == nil {
		err = t.bytes(sumsFile, sumsText(t.sums))
	}
	if err == nil {
		err = t.Close()
	}
	return err
}

// filesToBackUp names the files that are copied as they are, relative to the folder and with slashes.
func (o *Origin) filesToBackUp(writers []*writer) (names []string, err error) {
	for _, w := range writers {
		names = append(names, path.Join("issuers", w.secret.ID+".json"))
	}
	folder := os.DirFS(o.cfg.Dir)
	for _, top := range backedUp {
		err := fs.WalkDir(folder, top, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, name)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return names, nil
}

// backUp sends an issuer's newest snapshot, and first the records after it up to where the log ends now.
func (w *writer) backUp(ctx context.Context, t *tarball) (end uint64, err error) {
	if err := t.flush(); err != nil && !errors.Is(err, http.ErrNotSupported) { // what follows may take long to begin
		return 0, err
	}
	files, end, err := w.backUpRecords(ctx, t)
	for _, f := range files {
		defer f.Close()
		if err == nil {
			err = t.file(path.Join("snapshots", w.secret.ID, filepath.Base(f.Name())), f)
		}
	}
	return end, err
}

// backUpRecords returns the open files of the snapshot that the records follow. Meanwhile the log is not trimmed; afterwards the
// files may be removed, which is nothing to who has opened them.
func (w *writer) backUpRecords(ctx context.Context, t *tarball) (files []*os.File, end uint64, err error) {
	s := w.snapshots
	s.held.RLock()
	defer s.held.RUnlock()
	f, err := s.whole()
	if err != nil {
		return nil, 0, err
	}
	at := uint64(0)
	if f != nil {
		at = f.Began.Offset
		if files, err = f.Open(); err != nil {
			return files, 0, err
		}
	}
	for end = w.offset.Load(); at < end; { // loaded after the snapshot was chosen, so what makes it exact is before it
		records, last, err := w.chunk(ctx, at, end)
		if err == nil {
			err = t.records(path.Join("log", w.secret.ID), records)
		}
		if err != nil {
			return files, 0, err
		}
		at = last
	}
	return files, end, nil
}

// whole returns the newest snapshot whose files are what they were when it was written, nil if none was written yet.
func (s *snapshots) whole() (*snapshot.File, error) {
	var damaged error
	for _, f := range []*snapshot.File{s.newest.Load(), s.before.Load()} {
		if f == nil {
			continue
		}
		err := s.store.Check(*f)
		if err == nil {
			_, err = s.store.State(*f)
		}
		if err == nil {
			return f, nil
		}
		s.w.logger.Error("a snapshot is damaged and not backed up; trying the one before", "err", err)
		damaged = errors.Join(damaged, err)
	}
	return nil, damaged
}

// chunk reads some records after a place, up to end, the offset of the last.
func (w *writer) chunk(ctx context.Context, after, end uint64) (records [][]byte, last uint64, err error) {
	size := 0
	_, err = w.log.Replay(ctx, after, func(e deltalog.Entry) error {
		records, last, size = append(records, e.Record), e.Seq, size+len(e.Record)
		if size >= chunkOf || last >= end {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return records, last, nil
	case err == nil:
		err = fmt.Errorf("the log ends at %d, before %d: %w", last, end, errLess)
	}
	return nil, 0, err
}
