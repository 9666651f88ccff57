package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/deltalog"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/snapshot"
)

// VerifyBackup reads all of a backup and reports why it is not what the origin sent, or not what its issuers signed. It takes the
// memory of the idempotency keys of an issuer, and of its largest record.
func VerifyBackup(dir string) (Backup, error) {
	err := checkSums(dir)
	var says Backup
	if err == nil {
		says, err = checkBackup(dir)
	}
	if err != nil {
		return Backup{}, fmt.Errorf("verify the backup %s: %w", dir, err)
	}
	return says, nil
}

// checkSums compares all files with SHA256SUMS.
func checkSums(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (there is no %s)", ErrCut, sumsFile)
	}
	if err != nil {
		return err
	}
	have, err := sumsOf(dir)
	if err != nil {
		return err
	}
	want := parseSums(text)
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !bytes.Equal(have[name], want[name]) {
			return fmt.Errorf("%s is damaged, or does not belong to it: it is not what %s says", name, sumsFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have[name] == nil {
			return fmt.Errorf("%q is missing, or %s is damaged", name, sumsFile)
		}
	}
	if !bytes.Equal(text, sumsText(have)) {
		return fmt.Errorf("%s is damaged", sumsFile)
	}
	return nil
}

// sumsOf hashes every file below a folder but SHA256SUMS.
func sumsOf(dir string) (map[string][]byte, error) {
	sums := map[string][]byte{}
	folder := os.DirFS(dir)
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == sumsFile {
			return err
		}
		f, err := folder.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		hash := sha256.New()
		_, err = io.Copy(hash, f)
		sums[name] = hash.Sum(nil)
		return err
	})
	return sums, err
}

// checkBackup holds each issuer of a backup to its signature, and its records to the chain.
func checkBackup(dir string) (says Backup, err error) {
	b, err := os.ReadFile(filepath.Join(dir, backupFile))
	if err == nil {
		err = json.Unmarshal(b, &says)
	}
	if err == nil && says.Version != backupVersion {
		err = fmt.Errorf("its version is %d, this scanedge knows %d", says.Version, backupVersion)
	}
	if err != nil {
		return says, fmt.Errorf("read %s: %w", backupFile, err)
	}
	for _, place := range says.Issuers {
		if err := checkIssuer(dir, place); err != nil {
			return says, fmt.Errorf("issuer %s: %w", place.Issuer, err)
		}
	}
	return says, nil
}

func checkIssuer(dir string, place IssuerBackup) error {
	w, store, err := openBackedUp(dir, place.Issuer)
	if err != nil {
		return err
	}
	var from snapshot.File
	if store != nil {
		if from, err = theOnly(store); err != nil {
			return err
		}
		if err := store.Check(from); err != nil {
			return err
		}
		state, err := store.State(from)
		if err == nil {
			err = w.past.restore(state)
		}
		if err != nil {
			return err
		}
		w.at = from.Began
	}
	err = w.readRecords(dir, func(l link) {
		w.past.learn(l)
		w.at = l.at
	})
	if err == nil && (w.at.Offset != place.Offset || from.To > w.at.Offset) {
		err = fmt.Errorf("its records end at %d, not at %d", w.at.Offset, max(place.Offset, from.To))
	}
	return err
}

// theOnly returns the snapshot of a folder that must have one.
func theOnly(store *snapshot.Store) (f snapshot.File, err error) {
	files, err := store.List(), store.Refused()
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%d snapshots in %s, not one", len(files), store.Dir())
	}
	if err != nil {
		return f, err
	}
	return files[0], nil
}

// openBackedUp returns a writer that has an issuer's secret and nothing else yet, and the snapshots in a backup, nil if it has none.
func openBackedUp(dir, id string) (*writer, *snapshot.Store, error) {
	if err := cache.CheckIssuer([]byte(id)); err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, "issuers", id+".json")
	if _, err := os.Stat(path); err != nil {
		return nil, nil, err
	}
	secret, err := issuer.LoadOrCreate(path, id, 0)
	if err != nil {
		return nil, nil, err
	}
	w := &writer{secret: secret, logger: slog.New(slog.DiscardHandler)}
	snapshots := filepath.Join(dir, "snapshots", id)
	if _, err := os.Stat(snapshots); errors.Is(err, fs.ErrNotExist) {
		return w, nil, nil
	}
	store, err := snapshot.Open(snapshots, secret.Public())
	return w, store, err
}

// readRecords calls take for each record of an issuer in a backup, which must move w.at there. Each carries the hash of the one
// before, so the signature of the last one speaks for all.
func (w *writer) readRecords(dir string, take func(link)) error {
	files, err := filepath.Glob(filepath.Join(dir, "log", w.secret.ID, "*.records")) // in the order of their names
	if err != nil {
		return err
	}
	var newest []byte
	for _, file := range files {
		if err := w.readRecordsOf(file, &newest, take); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if newest == nil {
		return nil
	}
	return issuer.Verify(newest, w.at.Hash, w.secret.Public().Key)
}

func (w *writer) readRecordsOf(file string, newest *[]byte, take func(link)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for record, err := range issuer.ReadFrames(f) {
		if err != nil {
			return err
		}
		head, body, hash, err := issuer.Open(record)
		if err != nil {
			return err
		}
		l, err := w.linkOf(deltalog.Entry{Seq: head.Offset, Record: record}, head, body, hash)
		if err != nil {
			return fmt.Errorf("offset %d: %w", head.Offset, err)
		}
		take(l)
		*newest = record
	}
	return nil
}
