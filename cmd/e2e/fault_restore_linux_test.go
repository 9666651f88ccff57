package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// backedUp is what backup --json says.
type backedUp struct {
	Issuers []struct {
		Issuer string
		Offset uint64
	}
	Files, Bytes int64
}

// backUp runs scanedge backup beside an origin.
func backUp(t *testing.T, o *node, dir string) (b backedUp) {
	t.Helper()
	out, err := verb(t.Context(), o, "backup", dir, "--origin", o.at.API, "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &b)
	}
	if err != nil || len(b.Issuers) == 0 || b.Bytes == 0 {
		t.Fatalf("backup: %s, %v", out, err)
	}
	return b
}

// verb is a command of the command line, with an origin's admin token. It is not waited for.
func verb(ctx context.Context, o *node, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, releaseBin, args...)
	cmd.Env = append(os.Environ(), "SCANEDGE_TOKEN="+o.adminToken)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// issuers is what the origin says that its tables hold, by issuer.
func (n *node) issuers(t *testing.T) map[string]string {
	t.Helper()
	a, err := call(t.Context(), http.MethodGet, n.at.API+"/v1/issuers", n.adminToken, nil)
	var list struct {
		Issuers []struct {
			Issuer, Digest string
			Count          int
		}
	}
	if err == nil {
		err = json.Unmarshal(a.body, &list)
	}
	if err != nil {
		t.Fatalf("issuers: %v, %v", a, err)
	}
	held := map[string]string{}
	for _, i := range list.Issuers {
		held[i.Issuer] = fmt.Sprint(i.Count, " with ", i.Digest)
	}
	return held
}

// The origin's machine is lost while pushes go on, and restored from a backup: what was acknowledged before the backup is there, also
// keys; edges that are ahead of it, or were down meanwhile, come back by themselves and hold what the origin holds.
func TestFaultOriginLostAndRestored(t *testing.T) {
	const subjects = 20_000
	o := startOrigin(t, releaseBin, "--issuers", "gz,sz")
	all := startEdges(t, 3, releaseBin, o, "--snapshot-every", "1s")
	ahead, down := all[:2], all[2]
	first := o.mustPush(t, "gz", "first", rows("s", 0, subjects, 1))
	o.mustPush(t, "sz", "first", rows("z", 0, 10, 1))
	k, stopTicker := startTicker(t, o, "gz", 10*time.Millisecond)
	time.Sleep(time.Second)

	asked := time.Now()
	from := filepath.Join(t.TempDir(), "backup")
	b := backUp(t, o, from)
	owed := k.owed(asked)
	if owed < 10 || b.Issuers[0].Issuer != "gz" || b.Issuers[0].Offset <= first.Offset {
		t.Fatalf("%d ticks were acknowledged, and the backup is %+v", owed, b)
	}
	late := o.mustPush(t, "gz", "late", rows("s", 0, subjects/2, 2))
	awaitOffset(t, all, "gz", late.Offset)
	down.kill()
	for life := range 3 { // with epochs of which the backup knows nothing
		late = o.mustPush(t, "gz", fmt.Sprint("later-", life), rows("s", subjects, subjects+10, 3+life))
		awaitOffset(t, ahead, "gz", late.Offset)
		o.kill()
		o.start()
	}
	stopTicker()
	tried, last := k.newest()
	awaitOffset(t, ahead, "gz", last.Offset)
	mustAllBe(t, ahead, o, "gz", "s", 0, subjects/2, 2)
	o.kill()
	if err := os.RemoveAll(o.dir); err != nil {
		t.Fatal(err)
	}

	if out, err := verb(t.Context(), o, "restore", from, "--dir", o.dir).CombinedOutput(); err != nil {
		t.Fatalf("restore: %s, %v", out, err)
	}
	token := o.adminToken
	o.start()
	if !o.ready() || !strings.Contains(readFile(t, filepath.Join(o.dir, "tokens.json")), token) {
		t.Fatal("the restored origin is not ready, or has other tokens")
	}
	now := tickOn(t, o, ahead, k)
	if now < owed || now >= tried {
		t.Fatalf(wrong+"tick %d is there, %d was owed and %d lost", now, owed, tried)
	}
	down.start()
	for _, e := range all {
		e.awaitReady()
	}
	mustHaveKey(t, o, "gz", fmt.Sprintf("tick-%d", owed), true)
	mustHaveKey(t, o, "gz", fmt.Sprintf("tick-%d", now), true)
	mustHaveKey(t, o, "gz", fmt.Sprintf("tick-%d", tried), false)
	mustHaveKey(t, o, "gz", "late", false)
	again := o.mustPush(t, "gz", "first", rows("s", 0, subjects, 1))
	if again != first {
		t.Errorf("the first push again: %+v, not %+v", again, first)
	}
	next := o.mustPush(t, "gz", "late", rows("t", 0, 1, 9))
	if next.Offset <= last.Offset {
		t.Errorf(wrong+"offset %d is given out after %d", next.Offset, last.Offset)
	}
	awaitOffset(t, all, "gz", next.Offset)
	mustAllBe(t, all, o, "gz", "s", 0, subjects, 1)
	mustAllBe(t, all, o, "gz", "ticker", 0, 1, now)
	mustAllBe(t, all, o, "sz", "z", 0, 10, 1)
	mustBeUnknown(t, all, o, "gz:s-20000")
	held := o.issuers(t)
	t.Logf("backed up %d bytes in %d files at offset %d; %d ticks lost; now %v", b.Bytes, b.Files, b.Issuers[0].Offset, tried-now, held)
	o.kill() // and it is an origin like any other
	o.start()
	awaitOffset(t, all, "gz", o.mustPush(t, "gz", "on", rows("t", 0, 1, 9)).Offset)
	if o.issuers(t)["sz"] != held["sz"] {
		t.Errorf("%v after another start, was %v", o.issuers(t), held)
	}
}

// tickOn waits until the edges are where the origin is, and vouch for the same tick: by themselves, for nothing is pushed. It returns that.
func tickOn(t *testing.T, o *node, all []*node, k *ticker) (number int) {
	t.Helper()
	awaitOffset(t, all, k.issuer, uint64(o.metric("scanedge_offset", k.issuer)))
	eventually(t, "vouching for one tick", func() bool {
		seen := map[int]bool{}
		for _, e := range all {
			v, err := e.scanner(o).Scan(t.Context(), k.issuer+":"+tickerSubject)
			if err != nil || v.Stale {
				return false
			}
			number = numberOf(v.Until)
			seen[number] = true
		}
		return len(seen) == 1
	})
	return number
}

func mustHaveKey(t *testing.T, o *node, issuer, key string, want bool) {
	t.Helper()
	a, err := call(t.Context(), http.MethodGet, o.at.API+"/v1/issuers/"+issuer+"/pushes/"+key, o.pushToken, nil)
	if err != nil || (a.status == http.StatusOK) != want || !want && !a.is(scanedge.UnknownPush) {
		t.Errorf("key %s: %v, %v", key, a, err)
	}
}

func mustBeUnknown(t *testing.T, all []*node, o *node, code string) {
	t.Helper()
	for _, e := range all {
		a, err := call(t.Context(), http.MethodGet, e.at.Scan+"/v1/scan/"+code, o.scannerKey, nil)
		if err != nil || !a.is(scanedge.UnknownSubject) {
			t.Errorf("%s: %s is %v, %v", e.name, code, a, err)
		}
	}
}

// Kill -9 of a backup or a restore at any instant: what is left is whole, or says that it is not, and no origin starts on it.
func TestFaultBackupAndRestoreKilled(t *testing.T) {
	rnd := newRand(t)
	o := startOrigin(t, releaseBin, "--issuers", "gz,sz")
	o.mustPush(t, "gz", "", rows("s", 0, 400_000, 1))
	o.mustPush(t, "sz", "", rows("s", 0, 400_000, 1))
	whole := filepath.Join(t.TempDir(), "whole")
	began := time.Now()
	backUp(t, o, whole)
	took := time.Since(began)
	want := o.issuers(t)
	var finished, cut [2]int
	for range *kills {
		dir := filepath.Join(t.TempDir(), "backup")
		killAfter(t, verb(t.Context(), o, "backup", dir, "--origin", o.at.API), time.Duration(rnd.Int64N(int64(took)*5/4)))
		to := filepath.Join(t.TempDir(), "restored")
		_, err := os.Stat(filepath.Join(dir, "SHA256SUMS"))
		out, restoredErr := verb(t.Context(), o, "restore", dir, "--dir", to).CombinedOutput()
		if (err == nil) != (restoredErr == nil) {
			t.Fatalf("SHA256SUMS: %v; restore: %s, %v", err, out, restoredErr)
		}
		count(&finished[0], &cut[0], err == nil)
	}
	began = time.Now()
	if out, err := verb(t.Context(), o, "restore", whole, "--dir", filepath.Join(t.TempDir(), "x")).CombinedOutput(); err != nil {
		t.Fatalf("restore: %s, %v", out, err)
	}
	took = time.Since(began)
	for range *kills {
		to := filepath.Join(t.TempDir(), "restored")
		killAfter(t, verb(t.Context(), o, "restore", whole, "--dir", to), time.Duration(rnd.Int64N(int64(took)*5/4)))
		mark, err := os.ReadFile(filepath.Join(to, "scanedge.json"))
		if err != nil {
			cut[1]++ // before the folder was more than a folder
			continue
		}
		ready := bytes.Contains(mark, []byte(`"origin"`))
		r := newOrigin(t, releaseBin)
		r.dir = to
		if count(&finished[1], &cut[1], ready); !ready {
			out, err := exec.Command(releaseBin, "origin", "--dir", to, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
				"--tls-listen", "127.0.0.1:0").CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("unfinished restore")) {
				t.Fatalf("an origin in a folder that was not restored whole: %s, %v", out, err)
			}
			continue
		}
		r.beginOrigin()
		for issuer, held := range r.issuers(t) {
			if held != want[issuer] {
				t.Errorf(wrong+"%s holds %s, not %s", issuer, held, want[issuer])
			}
		}
		r.kill()
	}
	t.Logf("backups: %d finished, %d cut; restores: %d finished, %d cut", finished[0], cut[0], finished[1], cut[1])
}

func count(yes, no *int, is bool) {
	if is {
		*yes++
	} else {
		*no++
	}
}

// killAfter kills a command some time after it began, unless it ends before.
func killAfter(t *testing.T, cmd *exec.Cmd, d time.Duration) {
	t.Helper()
	if err := spawn(cmd); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() { _ = cmd.Wait(); close(ended) })
	select {
	case <-time.After(d):
		_ = cmd.Process.Kill()
	case <-ended:
	}
	wg.Wait()
}
