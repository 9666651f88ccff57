package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/origin"
)

func newBackupCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy all that it takes to restore an origin, while it serves",
		Long: `backup writes what an origin would have to be restored from into DIR, which must be empty or not be there: the secrets and
policies of its issuers, its tokens, CA and edges, and of each issuer the newest snapshot with the log's records after it. Every
push that was acknowledged before is in it. Pushes and scans go on.

All of it is read again before backup says that it is done: checksums, the issuers' signatures, the chain of the records.
A backup that was cut off has no SHA256SUMS and is refused by restore. It holds every secret: keep it as you keep those.
What an issuer's file names by a path, such as a mounted key, is not copied: keep that too.

Exit status: 0 the backup is whole and on disk, 1 it is not and DIR is as it was, 2 usage.`,
		Example: `  scanedge backup /backup/$(date +%F) --up var/up.json
  SCANEDGE_TOKEN=admin-… scanedge backup /backup/today --origin http://127.0.0.1:7000 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := backUp(cmd, &f, args[0])
			if err != nil {
				return err
			}
			return f.print(cmd, b, func() error { return b.text(cmd.OutOrStdout()) })
		},
	}
	f.add(cmd)
	return cmd
}

// backup is what backup answers.
type backup struct {
	Dir     string                `json:"dir"`
	Time    time.Time             `json:"time"`
	Issuers []origin.IssuerBackup `json:"issuers"`
	Files   int                   `json:"files"`
	Bytes   int64                 `json:"bytes"`
	Seconds float64               `json:"seconds"`
}

func backUp(cmd *cobra.Command, f *operatorFlags, dir string) (b backup, err error) {
	operator, err := f.open()
	if err != nil {
		return b, err
	}
	began := time.Now()
	made, err := makeEmpty(dir)
	if err != nil {
		return b, fmt.Errorf("back up to %s: %w; give a folder that is not there yet", dir, err)
	}
	var r origin.Received
	err = operator.Download(cmd.Context(), "back up the origin", "/v1/backup", "application/x-tar", func(body io.Reader) (err error) {
		r, err = origin.ReceiveBackup(body, dir)
		return err
	})
	if err != nil {
		if made {
			_ = os.Remove(dir)
		}
		return b, err
	}
	return backup{dir, r.Time, r.Issuers, r.Files, r.Bytes, time.Since(began).Seconds()}, nil
}

// makeEmpty makes a folder, mode 0700, or finds it empty.
func makeEmpty(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return false, err
		}
		return true, durable.SyncFolder(filepath.Dir(dir))
	case err == nil && len(entries) > 0:
		err = fmt.Errorf("it is not empty: it holds %s", entries[0].Name())
	case err == nil:
		err = os.Chmod(dir, 0o700)
	}
	return false, err
}

func (b backup) text(w io.Writer) error {
	for _, i := range b.Issuers {
		if _, err := fmt.Fprintf(w, "%-16s all up to offset %d\n", i.Issuer, i.Offset); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s is a whole backup of %s: %s, %s bytes, in %.1f s; it holds every secret of the origin\n",
		b.Dir, b.Time.Local().Format(time.DateTime), many(b.Files, "file"), grouped(int(b.Bytes)), b.Seconds)
	return err
}
