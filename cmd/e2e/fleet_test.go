package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// scanAll asks every edge for codes and compares word and, where it is known, reason: want returns "" for any.
func scanAll(t *testing.T, up fleet.Up, codes []string, want func(i int) string) {
	t.Helper()
	for _, e := range up.Edges {
		answers, err := scanedge.NewEdge(e.Scan, up.ScannerKey).ScanMany(t.Context(), codes)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if got := string(a.Status) + string(a.Error); got != want(i) {
				t.Fatalf("%s: %s is %s, want %s", e.Name, codes[i], got, want(i))
			}
		}
	}
}

// eventually polls until ok, for things that another process does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// shown waits until every edge is at an offset of an issuer's log.
func shown(t *testing.T, up fleet.Up, issuer string, offset uint64) {
	t.Helper()
	for _, e := range up.Edges {
		eventually(t, fmt.Sprintf("at offset %d on %s", offset, e.Name), func() bool {
			m, err := fleet.ReadMetrics(t.Context(), e.Admin)
			return err == nil && m[fmt.Sprintf("scanedge_offset{issuer=%q}", issuer)] >= float64(offset)
		})
	}
}

func TestEveryDemoSubjectIsWhatTheRuleSays(t *testing.T) {
	const n = 1001 // odd: the issuers' shares differ
	f, _ := startFleet(t, n)
	up := f.Up()
	for k, issuer := range []string{"demo-a", "demo-b"} {
		count := (n + 1 - k) / 2
		var codes []string
		for i := 1; i <= count+1; i++ {
			codes = append(codes, fmt.Sprintf("%s:d%09d", issuer, i))
		}
		scanAll(t, up, codes, func(i int) string {
			special := map[int]string{7: "yellow", 13: "red", 21: "void", 29: "lapsed"}
			switch word := special[(i+1)%100]; {
			case i == count:
				return "unknown-subject"
			case word != "":
				return word
			default:
				return "green"
			}
		})
	}
	for _, s := range up.Sample {
		scanAll(t, up, []string{s.Code}, func(int) string { return s.Status })
	}
}

// A second up in the same folder finds what the first one left, also after it was killed.
func TestUpFindsTheSameData(t *testing.T) {
	dir := t.TempDir()
	for round, stop := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM} {
		cmd := exec.Command(bin, "up", "--dir", dir, "--subjects", "500", "--edges", "2")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "up.json")
		var up *fleet.Up
		eventually(t, "up", func() bool {
			info, err := os.Stat(path) // a killed up leaves its file to the next
			if err == nil && info.ModTime().After(began) {
				up, err = fleet.LoadUp(path)
			}
			return err == nil && up != nil
		})
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("up.json: %v, %v", info.Mode(), err)
		}
		codes := []string{"demo-a:d000000013", "demo-b:d000000250", "demo-b:guest"}
		words := []string{"red", "green", []string{"unknown-subject", "yellow", "red"}[round]}
		scanAll(t, *up, codes, func(i int) string { return words[i] })
		next := []scanedge.Status{scanedge.Yellow, scanedge.Red, scanedge.Void}[round]
		receipt, err := scanedge.NewOrigin(up.Origin, up.PushToken).Push(t.Context(), "demo-b", []scanedge.Delta{{Subject: "guest", Status: next}})
		if err != nil {
			t.Fatal(err)
		}
		shown(t, *up, "demo-b", receipt.Offset)
		words[2] = string(next)
		scanAll(t, *up, codes, func(i int) string { return words[i] })

		if err := cmd.Process.Signal(stop); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if stop != syscall.SIGKILL {
			if err != nil {
				t.Errorf("%v: %v\n%s", stop, err, &out)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("up.json is still there")
			}
			for _, pid := range append([]int{up.OriginPID}, up.Edges[0].PID, up.Edges[1].PID) {
				if syscall.Kill(pid, 0) == nil {
					t.Errorf("process %d is still there", pid)
				}
			}
		}
	}
}

// What lies in the log and on an edge's disk are keyed hashes: no subject id, not even in what the processes log.
func TestNoSubjectReachesADisk(t *testing.T) {
	f, dir := startFleet(t, 200)
	up := f.Up()
	secret := "bearer-of-a-name"
	receipt, err := scanedge.NewOrigin(up.Origin, up.PushToken).Push(t.Context(), "demo-a",
		[]scanedge.Delta{{Subject: secret, Status: scanedge.Red}, {Subject: "粤A·12345", Status: scanedge.Green}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scanedge.NewOrigin(up.Origin, up.PushToken).PushReader(t.Context(), "demo-a", "text/csv",
		strings.NewReader("subject,status\n"+secret+"-bad,blue\n")); err == nil {
		t.Error("a bad line was taken")
	}
	shown(t, up, "demo-a", receipt.Offset)
	scanAll(t, up, []string{"demo-a:" + secret, "demo-a:" + secret + "\x01"}, func(i int) string {
		return []string{"red", "malformed-code"}[i]
	})
	f.Stop()
	var logBytes int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(path, "/origin/log/") {
			logBytes += int64(len(b))
		}
		for _, id := range []string{secret, "粤A·12345", "d000000001", "d000000013"} {
			if bytes.Contains(b, []byte(id)) {
				t.Errorf("%s names %s", path, id)
			}
		}
		return nil
	})
	if err != nil || logBytes < 200*20 {
		t.Errorf("read %d bytes of log: %v", logBytes, err)
	}
}

// Whoever dies is started again where it was, and up.json says its new pid.
func TestProcessesThatDieComeBack(t *testing.T) {
	f, dir := startFleet(t, 200)
	before := f.Up()
	for _, pid := range []int{before.Edges[1].PID, before.OriginPID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "back", func() bool {
		up, err := fleet.LoadUp(filepath.Join(dir, "up.json"))
		return err == nil && up.OriginPID != before.OriginPID && up.Edges[1].PID != before.Edges[1].PID
	})
	after := f.Up()
	if after.Origin != before.Origin || after.Edges[1].Scan != before.Edges[1].Scan {
		t.Errorf("not on the old addresses: %+v, was %+v", after, before)
	}
	for _, e := range after.Edges {
		eventually(t, "ready", func() bool {
			res, err := http.Get(e.Admin + "/readyz")
			if err != nil {
				return false
			}
			defer res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
	}
	receipt, err := scanedge.NewOrigin(after.Origin, after.PushToken).Push(t.Context(), "demo-a",
		[]scanedge.Delta{{Subject: "late", Status: scanedge.Void}})
	if err != nil {
		t.Fatal(err)
	}
	shown(t, after, "demo-a", receipt.Offset)
	scanAll(t, after, []string{"demo-a:late", "demo-a:d000000007"}, func(i int) string { return []string{"void", "yellow"}[i] })
}
