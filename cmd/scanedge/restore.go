package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/sync/durable"
	"github.com/scanedge/scanedge/sync/origin"
)

// restoring is the role of a folder that is being restored: no origin starts in it.
const restoring = "unfinished restore"

func newRestoreCmd() *cobra.Command {
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make an origin's data folder of a backup",
		Long: `restore reads all of the backup DIR, then writes an origin's data folder, which must be empty or not be there. Start the
origin on it with the flags and the addresses that it had: edges come back by themselves, also those that are ahead of the
backup, and then hold what the origin holds. What was acknowledged before the backup was asked for is there: statuses,
idempotency keys, tokens, issuers, edges. What came later is lost: push it again, and revoke again what was revoked.

With origin --nats the log is not in the backup. If it is still there, the origin reads on from the backup's place and nothing
is lost; if it is gone, it begins anew. Offsets that are given out then begin far above all that were: at the clock in
microseconds. So set the clock before.

It takes the memory of one issuer's table. A restore that was cut off leaves a folder that no origin starts in: remove that.

Exit status: 0 the folder is whole and on disk, 1 nothing was restored, 2 usage.`,
		Example: `  scanedge restore /backup/2026-02-14 --dir /var/lib/scanedge && scanedge origin --dir /var/lib/scanedge`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := restore(cmd, args[0], to)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return r.text(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&to, "dir", "origin-data", "the origin's data folder to be made")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// restored is what restore answers.
type restored struct {
	Dir string `json:"dir"`
	origin.Restored
}

func restore(cmd *cobra.Command, from, to string) (r restored, err error) {
	mark, err := backedUpMark(from)
	if err != nil {
		return r, err
	}
	made, err := makeEmpty(to)
	if err != nil {
		return r, fmt.Errorf("restore to %s: %w; give a --dir that is empty or not there", to, err)
	}
	dir, err := openDataDir(cmd.Context(), to, restoring)
	if err != nil {
		return r, err
	}
	defer dir.close()
	r.Dir = to
	if r.Restored, err = origin.Restore(cmd.Context(), from, to, time.Now()); err == nil {
		err = durable.WriteFile(dir.file("scanedge.json"), mark)
	}
	if err != nil {
		return r, errors.Join(err, clear(to, made))
	}
	return r, nil
}

// clear removes what a restore that failed has made.
func clear(dir string, made bool) error {
	if made {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// backedUpMark is the scanedge.json of a backup: that of an origin which this scanedge can go on with.
func backedUpMark(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, "scanedge.json"))
	var m dirMark
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("restore %s: it has no scanedge.json; it is no backup, or one that was cut off", dir)
	case err == nil && m.Version > dataVersion:
		err = fmt.Errorf("its version is %d, this scanedge knows %d; run a newer scanedge", m.Version, dataVersion)
	case err == nil && m.Role != "origin":
		err = fmt.Errorf("it is the folder of an %s, not of an origin", m.Role)
	}
	if err != nil {
		return nil, fmt.Errorf("restore %s: read scanedge.json: %w", dir, err)
	}
	return b, nil
}

func (r restored) text(w io.Writer) error {
	for _, i := range r.Issuers {
		if _, err := fmt.Fprintf(w, "%-16s %s, digest %s, all up to offset %d\n", i.Issuer, many(i.Count, "subject"), i.Digest, i.Offset); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `%s is what the origin was at %s. Start it with: scanedge origin --dir %s
What was pushed after that is lost: push it again. Tokens, edges and subjects that were revoked after it are not: revoke them again.
`, r.Dir, r.Time.Local().Format(time.DateTime), r.Dir)
	return err
}
