package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

func newBatchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Look into the records of a log and check them",
		Long: `batch looks into records of an issuer's log: batches and the reigns of its origins, and those that an edge set aside. FILE holds
one record, or several as the origin hands them out; - is standard input.

  curl -H "Authorization: Bearer TOKEN" 'http://127.0.0.1:7000/v1/issuers/gz/records?after=0&limit=100' > records`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBatchInspectCmd(), newBatchVerifyCmd())
	return cmd
}

func newBatchInspectCmd() *cobra.Command {
	var asJSON, deltas bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|-",
		Short: "Show what records say",
		Long: `inspect shows what each record says of itself: its place in the chain, who pushed it, when, with which note, and how many deltas
it has. Subjects are keyed hashes there; no record names one.

Exit status: 0 shown, 1 the file can't be read or holds no records, 2 usage.`,
		Example: `  scanedge batch inspect --deltas records`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return eachRecord(cmd, args[0], func(record []byte) error {
				r, err := inspectRecord(record)
				if err != nil {
					return err
				}
				if !deltas {
					r.Deltas = nil
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
				}
				return r.text(cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&deltas, "deltas", false, "show the deltas too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line for each record")
	return cmd
}

func newBatchVerifyCmd() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "verify --key KEY FILE|-",
		Short: "Check that records are their issuer's and that none is missing between them",
		Long: `verify checks that the issuer signed each record and that each follows the one before it by its hash.

Exit status: 0 they are all the issuer's, in one chain; 1 they are not, or the file can't be read; 2 usage.`,
		Example: `  scanedge batch verify --key "$(jq -r .public_key gz.json)" records`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := base64.StdEncoding.DecodeString(key)
			if err != nil || len(public) != ed25519.PublicKeySize {
				return usageError("--key must be an issuer's public key, %d bytes in base64", ed25519.PublicKeySize)
			}
			v := verifier{key: public}
			if err := eachRecord(cmd, args[0], v.take); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s of %s, from %s to %s, all signed\n", many(v.records, "record"), v.issuer, v.first, v.at)
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the issuer's public key in base64, as its origin tells operators (needed)")
	return cmd
}

// eachRecord calls each with the records of a file, in order.
func eachRecord(cmd *cobra.Command, file string, each func([]byte) error) error {
	in, name := cmd.InOrStdin(), "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, file
	}
	n := 0
	for record, err := range issuer.ReadFrames(in) {
		n++
		if err == nil {
			err = each(record)
		}
		if err != nil {
			return fmt.Errorf("%s: record %d: %w", name, n, err)
		}
	}
	if n == 0 {
		return fmt.Errorf("%s holds no record", name)
	}
	return nil
}

// inspectedRecord is a record as inspect shows it.
type inspectedRecord struct {
	Kind   string    `json:"kind"`
	Issuer string    `json:"issuer"`
	Epoch  uint64    `json:"epoch"`
	Offset uint64    `json:"offset"`
	Prev   uint64    `json:"prev"`
	Hash   string    `json:"hash"`
	After  string    `json:"prev_hash"`
	Time   time.Time `json:"time"`
	Bytes  int       `json:"bytes"`

	Pusher   string           `json:"pusher,omitempty"`
	Note     string           `json:"note,omitempty"`
	Key      string           `json:"idempotency_key,omitempty"`
	Approver string           `json:"approver,omitempty"`
	Count    int              `json:"count"`
	Deltas   []inspectedDelta `json:"deltas,omitempty"`
}

type inspectedDelta struct {
	Key    string `json:"key"`
	Record string `json:"record"`
}

var kindWords = map[issuer.Kind]string{
	issuer.Batch: "batch", issuer.Beat: "beat", issuer.Reign: "reign", issuer.Manifest: "manifest",
}

func inspectRecord(record []byte) (*inspectedRecord, error) {
	head, body, hash, err := issuer.Open(record)
	if err != nil {
		return nil, err
	}
	r := &inspectedRecord{
		Kind: kindWords[head.Kind], Issuer: head.Issuer, Epoch: head.Epoch, Offset: head.Offset, Prev: head.Prev.Offset,
		Hash: hex.EncodeToString(hash[:]), After: hex.EncodeToString(head.Prev.Hash[:]), Time: head.Time, Bytes: len(record),
	}
	if r.Kind == "" {
		r.Kind = fmt.Sprintf("kind %d, of a later version", head.Kind)
	}
	if head.Kind != issuer.Batch {
		return r, nil
	}
	batch, err := delta.ParseBatch(body)
	if err != nil {
		return nil, err
	}
	r.Pusher, r.Note, r.Key, r.Approver, r.Count = batch.Pusher, batch.Note, batch.Info.Key, batch.Approver, batch.Len()
	for i := range batch.Len() {
		d := batch.At(i)
		r.Deltas = append(r.Deltas, inspectedDelta{fmt.Sprintf("%016x%016x", d.Key.Hi, d.Key.Lo), d.Record.String()})
	}
	return r, nil
}

func (r *inspectedRecord) text(w io.Writer) error {
	line := fmt.Sprintf("offset %d (%.8s)  %s of %s, epoch %d, after offset %d (%.8s), %s", r.Offset, r.Hash, r.Kind, r.Issuer, r.Epoch, r.Prev,
		r.After, r.Time.Format("2006-01-02T15:04:05.000Z07:00"))
	if r.Kind == kindWords[issuer.Batch] {
		line += fmt.Sprintf(", %s by %q", many(r.Count, "delta"), r.Pusher)
	}
	if r.Note != "" {
		line += fmt.Sprintf(", note %q", r.Note)
	}
	if r.Key != "" {
		line += fmt.Sprintf(", key %q", r.Key)
	}
	if r.Approver != "" {
		line += fmt.Sprintf(", approved by %q", r.Approver)
	}
	for _, d := range r.Deltas {
		line += "\n  " + d.Key + "  " + d.Record
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// verifier takes the records of one chain.
type verifier struct {
	key     ed25519.PublicKey
	issuer  string
	records int
	first   cache.Position
	at      cache.Position
}

func (v *verifier) take(record []byte) error {
	head, _, hash, err := issuer.Open(record)
	if err != nil {
		return err
	}
	if v.records == 0 {
		v.issuer, v.at = head.Issuer, head.Prev
	}
	if err := head.Follows(v.at, v.issuer, head.Offset); err != nil {
		return err
	}
	if err := issuer.Verify(record, hash, v.key); err != nil {
		return fmt.Errorf("offset %d: %w", head.Offset, err)
	}
	if head.Kind.Chained() {
		v.at = cache.Position{Offset: head.Offset, Hash: hash}
	}
	if v.records == 0 {
		v.first = cache.Position{Offset: head.Offset, Hash: hash}
	}
	v.records++
	return nil
}
