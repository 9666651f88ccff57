package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
)

// inputRows is the size of the file that another tool makes.
const inputRows = 1_000_000

// awkRows writes a CSV as spreadsheets do: byte-order mark, CRLF, quotes, ids in UTF-8 and of 64 bytes. inputRow is its oracle.
const awkRows = `BEGIN {
	split("green yellow red void", status, " ")
	printf "\357\273\277reason,status,subject,until\r\n"
	for (i = 0; i < n; i++) {
		if (i % 5 == 0) id = sprintf("plain%d", i)
		if (i % 5 == 1) id = sprintf("\347\262\244A\302\267%d", i)
		if (i % 5 == 2) id = sprintf("%064d", i)
		if (i % 5 == 3) id = sprintf("\"a, \"\"quoted\"\" one: %d\"", i)
		if (i % 5 == 4) id = sprintf("\"train/7//%d?#..%%41+\"", i)
		until = (i % 7 == 0) ? "2020-06-01T10:20:30+02:00" : (i % 7 == 1) ? "\"2050-01-02T03:04:05Z\"" : ""
		printf "%s,%s,%s,%s\r\n", (i % 64 ? i % 64 : ""), status[1 + i % 4], id, until
	}
}`

// inputRow is the code of row i, and how its answer begins.
func inputRow(i int) (code, answer string) {
	form := []string{"plain%d", "粤A·%d", "%064d", `a, "quoted" one: %d`, "train/7//%d?#..%%41+"}[i%5]
	word := []string{"green", "yellow", "red", "void"}[i%4]
	until := ""
	switch i % 7 {
	case 0:
		word, until = "lapsed", `,"until":"2020-06-01T08:20:00Z"`
	case 1:
		until = `,"until":"2050-01-02T03:04:00Z"`
	}
	reason := ""
	if i%64 != 0 {
		reason = fmt.Sprintf(`,"reason":%d`, i%64)
	}
	return "demo-b:" + fmt.Sprintf(form, i), fmt.Sprintf(`{"issuer":"demo-b","status":"%s"%s%s,"offset":`, word, until, reason)
}

func TestAFileOfAnotherTool(t *testing.T) {
	dir := t.TempDir()
	up := startFleetOf(t, releaseBin, dir, 100).Up()
	file := filepath.Join(t.TempDir(), "rows.csv")
	awk := exec.Command("awk", "-v", fmt.Sprintf("n=%d", inputRows), awkRows)
	awk.Env = []string{"LC_ALL=C"}
	if out, err := exec.Command("sh", "-c", `exec "$@" > "$0"`, file, awk.Path, awk.Args[1], awk.Args[2], awk.Args[3]).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(releaseBin, "push", "demo-b", file, "--up", filepath.Join(dir, "up.json"), "--state", t.TempDir(), "--json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(`"count":%d`, inputRows)) {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
	last, err := scanedge.NewOrigin(up.Origin, up.PushToken).Push(t.Context(), "demo-b", []scanedge.Delta{{Subject: "end", Status: scanedge.Green}})
	if err != nil {
		t.Fatal(err)
	}
	shown(t, up, "demo-b", last.Offset)
	const step = 10_000 // as many as an edge takes in one request
	for from := 0; from < inputRows; from += step {
		e := up.Edges[from/step%len(up.Edges)]
		var codes bytes.Buffer
		for i := from; i < from+step; i++ {
			code, _ := inputRow(i)
			codes.WriteString(code + "\n")
		}
		answers := strings.Split(scanRaw(t, e.Scan, up.ScannerKey, &codes), "\n")
		if len(answers) != step+1 {
			t.Fatalf("%s: %d answers to %d codes", e.Name, len(answers)-1, step)
		}
		for i, got := range answers[:step] {
			if code, want := inputRow(from + i); !strings.HasPrefix(got, want) {
				t.Fatalf("%s: %s answers %s, want %s", e.Name, code, got, want)
			}
		}
	}
}

// scanRaw is a batch scan as it goes over the wire, compared as text: a million answers parsed would take the test's minute.
func scanRaw(t *testing.T, edge, key string, codes io.Reader) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, edge+"/v1/scan", codes)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %.300s", res.Status, err, body)
	}
	return string(body)
}
