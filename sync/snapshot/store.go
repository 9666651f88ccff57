package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/issuer"
)

const (
	tableExt    = ".table"
	manifestExt = ".manifest"
	stateExt    = ".state"
	partExt     = ".part"
	ownTable    = "own" + tableExt
)

// Store is a folder of one issuer's snapshots. One process uses it at a time; its methods are safe for concurrent use.
type Store struct {
	dir string
	pub issuer.Public

	fetching sync.Mutex // held while a snapshot is fetched
}

// File is a snapshot that its issuer signed, whole on disk.
type File struct {
	issuer.Snapshot
	ID       string // names it: hex of the first 16 bytes of the manifest's hash
	Manifest []byte // the signed record
	Table    string // path of the table's file
}

// name is what the snapshot's files are called, without their ends.
func (f File) name() string { return fmt.Sprintf("%020d-%s", f.Began.Offset, f.ID) }

// Open opens the folder of an issuer's snapshots, made with mode 0700 if need be, and removes what a crash left half.
func Open(dir string, pub issuer.Public) (*Store, error) {
	s := &Store{dir: dir, pub: pub}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = durable.RemoveLeftovers(dir)
	}
	if err == nil {
		err = s.removeHalves()
	}
	if err != nil {
		return nil, fmt.Errorf("open the snapshots of %s: %w", pub.ID, err)
	}
	return s, nil
}

// removeHalves removes tables without a manifest, and manifests and states without a table.
func (s *Store) removeHalves() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		needs := tableExt
		if ext == tableExt {
			needs = manifestExt
		}
		known := ext == tableExt || ext == manifestExt || ext == stateExt
		if known && name != ownTable && !slices.Contains(names, base+needs) {
			if err := os.Remove(s.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Dir is the folder, for messages.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) names() (names []string, err error) {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// List returns the snapshots, the newest first. What is not the issuer's is passed over: [Store.Refused] says why.
func (s *Store) List() []File {
	files, _ := s.scan()
	return files
}

// Refused says which files in the folder are no snapshots of the issuer, nil if there are none.
func (s *Store) Refused() error {
	_, err := s.scan()
	return err
}

func (s *Store) scan() (files []File, refused error) {
	names, refused := s.names()
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, manifestExt); ok {
			f, err := s.read(base)
			if err != nil {
				refused = errors.Join(refused, fmt.Errorf("snapshot %s: %w", s.path(base), err))
				continue
			}
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(b.Began.Offset, a.Began.Offset), b.Time.Compare(a.Time))
	})
	return files, refused
}

// read reads the manifest of a snapshot, and looks whether the table is there.
func (s *Store) read(base string) (File, error) {
	b, err := os.ReadFile(s.path(base + manifestExt))
	if err != nil {
		return File{}, err
	}
	f, err := s.verify(b)
	if err != nil {
		return File{}, err
	}
	if f.name() != base {
		return File{}, fmt.Errorf("its manifest is that of %s", f.name())
	}
	info, err := os.Stat(f.Table)
	if err == nil && info.Size() != f.Size() {
		err = fmt.Errorf("its table has %d bytes, not %d", info.Size(), f.Size())
	}
	return f, err
}

// verify reads a manifest and checks that the issuer signed it.
func (s *Store) verify(manifest []byte) (File, error) {
	snapshot, id, err := issuer.OpenManifest(manifest, s.pub)
	if err != nil {
		return File{}, err
	}
	if slices.ContainsFunc(snapshot.Parts.Parts, func(p issuer.Part) bool { return p.Size == 0 }) {
		return File{}, errors.New("its manifest names a part of no bytes")
	}
	f := File{Snapshot: snapshot, ID: id, Manifest: manifest}
	f.Table = s.path(f.name() + tableExt)
	return f, nil
}

// find returns the snapshot of an id.
func (s *Store) find(id string) (File, bool) {
	files := s.List()
	i := slices.IndexFunc(files, func(f File) bool { return f.ID == id })
	if i < 0 {
		return File{}, false
	}
	return files[i], true
}

// adopt makes a table's file that is in the folder, whole and fsynced, the snapshot f: table gives it its name. That comes last,
// for a table that has its name is whole.
func (s *Store) adopt(f File, state []byte, table func(path string) error) error {
	if state != nil {
		if err := durable.WriteFile(s.path(f.name()+stateExt), sealState(f, state)); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(s.path(f.name()+manifestExt), f.Manifest); err != nil {
		return err
	}
	return table(f.Table)
}

// Remove removes a snapshot. Who reads its table goes on reading.
func (s *Store) Remove(f File) error {
	for _, ext := range []string{manifestExt, stateExt, tableExt} { // without its manifest it counts for nothing
		if err := os.Remove(s.path(f.name() + ext)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a snapshot of %s: %w", s.pub.ID, err)
		}
	}
	return nil
}

// Open opens the files of a snapshot, manifest, state and table, those that it has: they can be read though it be removed. The caller closes
// what is returned, also with an error.
func (f File) Open() (files []*os.File, err error) {
	for _, ext := range []string{manifestExt, stateExt, tableExt} {
		file, err := os.Open(strings.TrimSuffix(f.Table, tableExt) + ext)
		if ext == stateExt && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}
