package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/issuer"
)

// someRecords are a reign and two batches behind it, and the key that verifies them.
func someRecords(t *testing.T) (records [][]byte, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var at cache.Position
	add := func(kind issuer.Kind, offset uint64, body []byte) {
		head := issuer.Head{Kind: kind, Issuer: "gz", Epoch: 7, Offset: offset, Prev: at, Time: time.UnixMilli(1_790_000_000_123)}
		record, hash := issuer.Sign(append(issuer.AppendHead(nil, head), body...), private)
		records, at = append(records, record), cache.Position{Offset: offset, Hash: hash}
	}
	d := cache.Delta{Key: cache.Key{Hi: 0xabc, Lo: 0xdef}, Record: cache.Removed}
	add(issuer.Reign, 3, nil)
	add(issuer.Batch, 5, delta.AppendBatch(nil, delta.Info{Pusher: "city", Note: "why, 为什么", Key: "run-1"}, []cache.Delta{d, d}))
	add(issuer.Batch, 9, delta.AppendBatch(nil, delta.Info{Pusher: "city"}, []cache.Delta{d}))
	return records, base64.StdEncoding.EncodeToString(public)
}

func recordsFile(t *testing.T, records ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	for _, r := range records {
		_ = issuer.WriteFrame(&b, r)
	}
	file := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBatchInspect(t *testing.T) {
	records, _ := someRecords(t)
	file := recordsFile(t, records...)
	out, err := verb(t.Context(), nil, "batch", "inspect", "--deltas", file)
	wantExit(t, err, 0)
	for _, want := range []string{
		"offset 3 (", "reign of gz, epoch 7, after offset 0 (00000000), 2026-09-21T14:13:20.123Z\n",
		`, 2 deltas by "city", note "why, 为什么", key "run-1"` + "\n  0000000000000abc0000000000000def  removed\n", `, 1 delta by "city"` + "\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, err = verb(t.Context(), bytes.NewReader(records[1]), "batch", "inspect", "--json", "-")
	wantExit(t, err, 0)
	var r inspectedRecord
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Offset != 5 || r.Prev != 3 || r.Count != 2 || r.Deltas != nil || r.Key != "run-1" {
		t.Errorf("%s: %v", out, err)
	}
	_, err = verb(t.Context(), strings.NewReader("subject,status\n"), "batch", "inspect", "-")
	wantExit(t, err, exitFailure, "standard input: record 1: ")
	_, err = verb(t.Context(), strings.NewReader(""), "batch", "inspect", "-")
	wantExit(t, err, exitFailure, "standard input holds no record")
}

func TestBatchVerify(t *testing.T) {
	records, key := someRecords(t)
	verify := func(key string, records ...[]byte) (string, error) {
		return verb(t.Context(), nil, "batch", "verify", "--key", key, recordsFile(t, records...))
	}
	out, err := verify(key, records...)
	wantExit(t, err, 0)
	if !strings.HasPrefix(out, "3 records of gz, from offset 3 (") || !strings.Contains(out, "to offset 9 (") {
		t.Error(out)
	}
	_, err = verify(key, records[0], records[2])
	wantExit(t, err, exitFailure, "record 2: the chain is broken: records before it are missing")
	flipped := bytes.Clone(records[1])
	flipped[len(flipped)-70] ^= 1
	_, err = verify(key, records[0], flipped)
	wantExit(t, err, exitFailure, "record 2: offset 5: the signature is not the issuer's")
	_, other := someRecords(t)
	_, err = verify(other, records...)
	wantExit(t, err, exitFailure, "record 1: offset 3: the signature is not the issuer's")
	_, err = verify("short", records...)
	wantExit(t, err, exitUsage, "--key must be an issuer's public key, 32 bytes in base64")
}
