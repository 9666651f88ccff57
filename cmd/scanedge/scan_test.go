package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

func scanWith(t *testing.T, edge string, stdin io.Reader, args ...string) (string, error) {
	return verb(t.Context(), stdin, append([]string{"scan", "--edge", edge, "--key", "key"}, args...)...)
}

func TestScanPrintsAlignedLines(t *testing.T) {
	codes := []string{"demo-a:green", "demo-a:red", "demo-a:void", "城市:green", "demo-a:nobody", "x:y", "wat", "",
		"demo-a:\x1b[2J\n", "\xff"}
	want := `
demo-a:green        green   offset 17  age 1.24s
demo-a:red          red     until 2027-01-31T12:00Z  reason 5  offset 17  age 1.24s
demo-a:void         void    offset 17  stale
城市:green          green   offset 17  age 1.24s
demo-a:nobody       unknown-subject  The issuer has no such subject
x:y                 issuer-not-held  This edge does not hold that issuer
wat                 malformed-code  The code is of no form that codes have
""                  malformed-code  The code is of no form that codes have
"demo-a:\x1b[2J\n"  malformed-code  The code is of no form that codes have
"\xff"              malformed-code  The code is of no form that codes have
`
	out, err := scanWith(t, fakeEdge(t), nil, codes...)
	wantExit(t, err, exitFailure)
	if err.Error() != "" {
		t.Errorf("the lines say it all, yet it says %v", err)
	}
	if "\n"+out != want {
		t.Errorf("got\n%swant%s", out, want)
	}
}

// TestScanOneAndMany: a code alone travels another way and must be judged the same.
func TestScanOneAndMany(t *testing.T) {
	edge := fakeEdge(t)
	for _, code := range []string{"demo-a:green", "demo-a:red", "demo-a:void", "demo-a:../x", "x:y", "wat", ""} {
		want, err := json.Marshal(judge(code))
		if err != nil {
			t.Fatal(err)
		}
		exit := 0
		if judge(code).Error != "" {
			exit = exitFailure
		}
		line := string(want) + "\n"
		one, err := scanWith(t, edge, nil, "--json", "--", code)
		wantExit(t, err, exit)
		two, err := scanWith(t, edge, nil, "--json", code, code)
		wantExit(t, err, exit)
		piped, err := scanWith(t, edge, strings.NewReader(code+"\r\n"), "--json", "-")
		wantExit(t, err, exit)
		if one != line || two != line+line || piped != line {
			t.Errorf("%q: one %q, two %q, piped %q, want %q", code, one, two, piped, line)
		}
	}
}

func TestScanManyLines(t *testing.T) {
	var in, want strings.Builder
	for i := range 25_000 {
		code := []string{"demo-a:green", "demo-a:red", "wat", ""}[i%7%4]
		fmt.Fprintln(&in, code)
		if err := json.NewEncoder(&want).Encode(judge(code)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := scanWith(t, fakeEdge(t), strings.NewReader(in.String()), "--json")
	wantExit(t, err, exitFailure)
	if out != want.String() {
		t.Errorf("answers of %d lines differ", strings.Count(out, "\n"))
	}
	if out, err := scanWith(t, fakeEdge(t), strings.NewReader(""), "-"); err != nil || out != "" {
		t.Errorf("no codes: %q, %v", out, err)
	}
}

// TestScanAnswersAtOnce types one code, reads its verdict, and only then types the next.
func TestScanAnswersAtOnce(t *testing.T) {
	in, typing := io.Pipe()
	screen, out := io.Pipe()
	root := newRoot()
	root.SetArgs([]string{"scan", "--edge", fakeEdge(t), "--key", "key"})
	root.SetIn(in)
	root.SetOut(out)
	ended := make(chan error, 1)
	go func() {
		ended <- root.ExecuteContext(t.Context())
		_ = out.Close()
	}()
	lines := bufio.NewScanner(screen)
	for _, status := range []string{"green", "red", "void"} {
		if _, err := fmt.Fprintln(typing, "demo-a:"+status); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), "  "+status) {
			t.Errorf("%s: %q", status, lines.Text())
		}
	}
	_ = typing.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestScanThatFails(t *testing.T) {
	edge := fakeEdge(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, codes := range [][]string{{"demo-a:green"}, {"demo-a:green", "demo-a:red"}, {"-"}} {
		args := append([]string{"scan", "--edge", edge, "--key", "wrong"}, codes...)
		_, err := verb(t.Context(), strings.NewReader("demo-a:green\n"), args...)
		wantExit(t, err, exitFailure, "scan at "+edge+": no-key")
		_, err = scanWith(t, gone.URL, strings.NewReader("demo-a:green\n"), codes...)
		wantExit(t, err, exitFailure, "scan at "+gone.URL, "connection refused")
	}
	_, err := scanWith(t, edge, strings.NewReader("demo-a:green\n"+strings.Repeat("x", 2<<20)))
	wantExit(t, err, exitFailure, "reading codes: line 2: ", "too long")
}

func TestScanInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	cancel()
	_, err := verb(ctx, in, "scan", "--edge", "http://127.0.0.1:1", "--key", "key")
	wantExit(t, err, exitFailure, "interrupted")
}

func TestScanFindsTheFleet(t *testing.T) {
	edge := fakeEdge(t)
	t.Chdir(t.TempDir())
	_, err := verb(t.Context(), nil, "scan", "demo-a:green")
	wantExit(t, err, exitUsage, "which edge, with which key? Give --edge URL and --key KEY")

	inFleet(t, fleet.Up{Edges: []fleet.Edge{{Scan: edge}, {Scan: "http://127.0.0.1:1"}}, ScannerKey: "key"})
	for _, flags := range [][]string{nil, {"--up", defaultUp}, {"--edge", edge, "--up", defaultUp}} {
		out, err := verb(t.Context(), nil, append([]string{"scan", "demo-a:green"}, flags...)...)
		if err != nil || !strings.HasPrefix(out, "demo-a:green  green ") {
			t.Errorf("%v: %q, %v", flags, out, err)
		}
	}
	_, err = verb(t.Context(), nil, "scan", "--edge", edge, "demo-a:green")
	wantExit(t, err, exitUsage, "which edge") // the fleet's key is for the fleet's edges
	_, err = verb(t.Context(), nil, "scan", "--up", "none.json", "demo-a:green")
	wantExit(t, err, exitFailure, "none.json")
}
