package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scanedge/scanedge/sync/durable"
)

// The errors of a source, beside errPart.
var (
	errBusy  = errors.New("it is busy")
	errCut   = errors.New("it was cut off")
	errMixed = errors.New("a part that came from several sources is wrong")
	errSlow  = errors.New("it is too slow")
)

// diskError is the error of the file that is written.
type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

// download is a table's file on its way in.
type download struct {
	store *Store
	file  File
	out   *os.File // ID.part
	*parts

	received int64  // bytes, wrong ones included
	giver    string // who gave the current part's last bytes
	mixed    bool   // others gave some of them, too
	buf      []byte
}

// begin goes on with the download of a snapshot where it was left, or begins it. Downloads of others are removed.
func (s *Store) begin(file File) (*download, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if filepath.Ext(name) == partExt && name != file.ID+partExt {
			if err := os.Remove(s.path(name)); err != nil {
				return nil, err
			}
		}
	}
	out, err := os.OpenFile(s.path(file.ID+partExt), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	d := &download{store: s, file: file, out: out, parts: newParts(file), buf: make([]byte, chunk)}
	if err := d.resume(); err != nil {
		_ = out.Close()
		return nil, err
	}
	return d, nil
}

// resume takes what is there already, up to the first part that is wrong.
func (d *download) resume() error {
	if err := d.read(d.out); err != nil && !errors.Is(err, errPart) {
		return err
	}
	return d.cutTo(d.at)
}

func (d *download) cutTo(size int64) error {
	err := d.out.Truncate(size)
	if err == nil {
		_, err = d.out.Seek(size, io.SeekStart)
	}
	if err != nil {
		return diskError{err}
	}
	return nil
}

// receive asks one source for what is missing and takes it until it ends, however that be.
func (f *fetch) receive(ctx context.Context, source string) error {
	f.turnTo(source)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(chunkWithin, func() { cancel(errSlow) })
	defer late.Stop()
	res, err := f.get(ctx, source)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer res.Body.Close()
	began, had := time.Now(), f.received
	for !f.whole() {
		n, err := io.ReadFull(res.Body, f.buf[:min(int64(chunk), f.size-f.at)])
		if err := f.take(f.buf[:n]); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w at byte %d: %w", errCut, f.at, cmp.Or(context.Cause(ctx), err))
		}
		late.Reset(chunkWithin)
		if len(f.sources) == 1 || time.Since(began) < turn {
			continue
		}
		if f.received-had < turnLeast && !f.whole() {
			return fmt.Errorf("%w: %d bytes in %v", errSlow, f.received-had, time.Since(began).Round(time.Millisecond))
		}
		began, had = time.Now(), f.received
	}
	return nil
}

// get asks a source for the file from where it is missing on.
func (f *fetch) get(ctx context.Context, source string) (*http.Response, error) {
	url := fmt.Sprintf("%s/v1/issuers/%s/snapshots/%s", strings.TrimSuffix(source, "/"), f.file.Issuer, f.file.ID)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", f.at))
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	switch want := fmt.Sprintf("bytes %d-%d/%d", f.at, f.size-1, f.size); {
	case res.StatusCode == http.StatusServiceUnavailable:
		err = errBusy
	case res.StatusCode != http.StatusPartialContent:
		err = fmt.Errorf("it answers %s", res.Status)
	case res.Header.Get("Content-Range") != want:
		err = fmt.Errorf("it sends %q, not %q", res.Header.Get("Content-Range"), want)
	}
	if err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

// turnTo makes a source the one that bytes come from.
func (d *download) turnTo(source string) {
	d.mixed = d.mixed || d.at > d.checked && d.giver != source
	d.giver = source
}

// take writes bytes and checks each part that they make whole.
func (d *download) take(b []byte) error {
	d.received += int64(len(b))
	for len(b) > 0 {
		n := d.room(b)
		if _, err := d.out.Write(b[:n]); err != nil {
			return diskError{fmt.Errorf("%w; make room for %d bytes more, what came is kept", err, d.size-d.at)}
		}
		if err := d.add(b[:n]); err != nil {
			return d.wrong()
		}
		if b = b[n:]; d.at == d.checked {
			d.mixed = false
		}
	}
	return nil
}

// wrong cuts a wrong part off. If several gave it, whose fault it was shows when the last of them gives it again, alone.
func (d *download) wrong() error {
	if err := d.cutTo(d.at); err != nil {
		return err
	}
	if d.mixed {
		d.mixed = false
		return errMixed
	}
	return errPart
}

// finish makes the download, which is whole, a snapshot of the store.
func (d *download) finish() (File, error) {
	if err := d.out.Sync(); err != nil {
		return File{}, err
	}
	err := d.store.adopt(d.file, nil, func(path string) error { return durable.Rename(d.out.Name(), path) })
	return d.file, err
}
