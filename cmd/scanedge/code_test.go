package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/origin"
)

// codesOf is an origin that has the issuer of the published vectors: its keys, window and policy.
type codesOf struct {
	Judged struct {
		Issuer   string `json:"issuer"`
		CodeKeys []struct {
			ID  byte   `json:"id"`
			Key string `json:"key"`
		} `json:"code_keys"`
		PublicKey string `json:"public_key"`
		Window    int    `json:"code_window_steps"`
		Unix      int64  `json:"unix"`
		Codes     []struct{ Why, Code, Word string }
	}
	order string        // the last body
	off   time.Duration // how far the origin's clock is ahead
}

func (o *codesOf) serve(t *testing.T) (url string) {
	b, err := os.ReadFile("../../edge/passcode/testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(b, o)
	}
	if err != nil || len(o.Judged.Codes) < 30 {
		t.Fatal("no vectors", err)
	}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	return server.URL
}

func (o *codesOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, found := strings.CutPrefix(r.URL.Path, "/v1/issuers/"+o.Judged.Issuer)
	parts := strings.Split(path, "/")
	switch {
	case r.Header.Get("Authorization") != "Bearer token":
		scanedge.NewProblem(scanedge.NoToken, "").Write(w)
	case !found:
		scanedge.NewProblem(scanedge.UnknownIssuer, "").Write(w)
	case path == "":
		var i origin.IssuerDetail
		i.Issuer, i.Policy.CodeWindowSteps = o.Judged.Issuer, o.Judged.Window
		i.PublicKey, _ = hex.DecodeString(o.Judged.PublicKey)
		for _, k := range o.Judged.CodeKeys {
			i.CodeKeys = append(i.CodeKeys, int(k.ID))
		}
		_ = json.NewEncoder(w).Encode(i)
	case parts[3] == "secret":
		o.secret(w, parts[2], r.FormValue("key_id"))
	case parts[3] == "codes":
		order, _ := new(bytes.Buffer), 0
		_, _ = order.ReadFrom(r.Body)
		o.order = order.String()
		paper := passcode.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)), o.Judged.Issuer, []byte(parts[2]), 1, 2)
		_ = json.NewEncoder(w).Encode(scanedge.SignedCode{Code: paper})
	}
}

func (o *codesOf) secret(w http.ResponseWriter, subject, id string) {
	k := o.Judged.CodeKeys[0]
	for _, known := range o.Judged.CodeKeys {
		if strconv.Itoa(int(known.ID)) == id {
			k = known
		}
	}
	b, _ := hex.DecodeString(k.Key)
	key := passcode.NewKey(o.Judged.Issuer, k.ID, b)
	s := key.Secret([]byte(subject))
	_ = json.NewEncoder(w).Encode(scanedge.SubjectSecret{Issuer: o.Judged.Issuer, Subject: subject, KeyID: int(k.ID),
		Secret: hex.EncodeToString(s[:]), ServerTime: time.Now().Add(o.off).UTC().Format(time.RFC3339Nano)})
}

// code verify says of each published code what an edge says.
func TestCodeVerifySaysWhatEdgesSay(t *testing.T) {
	var o codesOf
	operator := scanedge.NewOperator(o.serve(t), "token")
	for _, v := range o.Judged.Codes {
		word := scanedge.MalformedCode
		if text, c, err := codeGiven(nil, v.Code); err == nil {
			if word, err = checkCode(t.Context(), operator, text, c, time.Unix(o.Judged.Unix, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if want := strings.TrimPrefix(v.Word, "good"); string(word) != want {
			t.Errorf("%s: %s is %q, want %q", v.Why, v.Code, word, want)
		}
	}
}

// mintedBy is a rolling code of d1 made so many steps from now, half a step from the end of one, or near.
func (o *codesOf) minted(steps int64) string {
	b, _ := hex.DecodeString(o.Judged.CodeKeys[0].Key)
	key := passcode.NewKey(o.Judged.Issuer, o.Judged.CodeKeys[0].ID, b)
	step := uint32(int64(passcode.Step(time.Now().Unix())) + steps)
	return key.Secret([]byte("d1")).Mint(o.Judged.Issuer, key.ID(), []byte("d1"), step)
}

func TestCodeVerify(t *testing.T) {
	var o codesOf
	url := o.serve(t)
	check := func(code int, want string, stdin string, args ...string) {
		t.Helper()
		out, err := verb(t.Context(), strings.NewReader(stdin), append([]string{"code", "verify", "--origin", url, "--token", "token"}, args...)...)
		wantExit(t, err, code)
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%q: %q, want %s", args, out, want)
		}
	}
	check(0, `^valid  rolling code of d1 of demo-a, ([0-9.]+s left|over for [0-9.]+s)\n$`, "", o.minted(0))
	check(0, `^valid  rolling`, o.minted(0)+"\n", "-")
	check(0, `^{"valid":true,"code":"SE1\.DEMO-A\.[A-Z2-7]+","form":"rolling","issuer":"demo-a","subject":"d1","key_id":8,"step":[0-9]+,"from":"[^"]+","until":"[^"]+"}\n$`, "", "--json", o.minted(0))
	check(1, `^code-expired  The code has expired  rolling code of d1 of demo-a, over for [0-9a-z.]+\n$`, "", o.minted(-10))
	check(1, `^{"valid":false,"error":"clock-ahead","ahead_s":(2[0-9][0-9]|300),"code":`, "", "--json", o.minted(10))
	check(1, `^malformed-code  `, "", "SE1.")
	check(1, `^{"valid":false,"error":"malformed-code"}\n$`, "", "SE1.", "--json")
	check(1, `^malformed-code  `, "", "-")
	check(1, `^issuer-not-held  `, "", "demo-z:x")
	check(1, `^plain-forbidden  .*plain code of x of demo-a\n$`, "", "demo-a:x")
	check(2, `^$`, "")
	check(1, `^$`, "", "demo-a:x", "--token", "stolen")
}

func TestCodeMint(t *testing.T) {
	var o codesOf
	url := o.serve(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mint := func(stdin string, args ...string) (string, error) {
		return verb(t.Context(), strings.NewReader(stdin), append([]string{"code", "mint", "--origin", url, "--token", "token"}, args...)...)
	}
	secret, err := verb(t.Context(), strings.NewReader(""), "code", "secret", "--origin", url, "--token", "token", "--json", "demo-a", "d1")
	if err != nil {
		t.Fatal(err)
	}
	good := file("good.json", secret)
	for _, args := range [][]string{{"demo-a", "d1"}, {"demo-a", "d1", "--secret", good}, {"demo-a", "d1", "--secret", "-"}} {
		before := o.minted(0)
		out, err := mint(secret, args...)
		if err != nil || out != before+"\n" && out != o.minted(0)+"\n" {
			t.Errorf("%q: %q, %v; want %q", args, out, err, before)
		}
	}
	if out, err := mint("", "demo-a", "d1", "--json"); err != nil || !strings.HasPrefix(out, `{"code":"SE1.DEMO-A.`) {
		t.Error(out, err)
	}
	for _, tc := range []struct {
		code int
		says string
		args []string
	}{
		{2, "the secret in " + good + " is that of d1 of issuer demo-a", []string{"demo-a", "d2", "--secret", good}},
		{2, "issuer demo-a", []string{"demo-b", "d1", "--secret", good}},
		{1, "code secret --json", []string{"demo-a", "d1", "--secret", file("text", "issuer demo-a")}},
		{1, "has 1 bytes", []string{"demo-a", "d1", "--secret", file("short", `{"issuer":"demo-a","subject":"d1","key_id":1,"secret":"ff"}`)}},
		{1, "key id", []string{"demo-a", "d1", "--secret", file("id", strings.Replace(secret, `"key_id":8`, `"key_id":256`, 1))}},
		{1, "no such file", []string{"demo-a", "d1", "--secret", filepath.Join(dir, "nowhere")}},
		{1, "unknown-issuer", []string{"demo-z", "d1"}},
		{2, "issuer \"DEMO-A\"", []string{"DEMO-A", "d1"}},
		{2, "subject \"\"", []string{"demo-a", ""}},
		{2, "received 1", []string{"demo-a"}},
		{2, "--signed needs --until", []string{"demo-a", "d1", "--signed"}},
		{2, "give --signed too", []string{"demo-a", "d1", "--until", "1h"}},
		{2, "give --signed too", []string{"demo-a", "d1", "--from", "1h"}},
		{2, "neither --watch nor --secret", []string{"demo-a", "d1", "--signed", "--until", "1h", "--secret", good}},
		{2, "neither --watch nor --secret", []string{"demo-a", "d1", "--signed", "--until", "1h", "--watch"}},
		{2, "--watch prints for people", []string{"demo-a", "d1", "--json", "--watch"}},
		{2, "not after", []string{"demo-a", "d1", "--signed", "--from", "2027-01-01T00:00:00Z", "--until", "2027-01-01T00:00:00Z"}},
		{2, "neither a time such as", []string{"demo-a", "d1", "--signed", "--until", "tomorrow"}},
	} {
		out, err := mint("", tc.args...)
		wantExit(t, err, tc.code, tc.says)
		if out != "" {
			t.Errorf("%q printed %q", tc.args, out)
		}
	}
}

func TestCodeMintSigned(t *testing.T) {
	var o codesOf
	url := o.serve(t)
	for _, tc := range []struct {
		args []string
		from string
		last time.Duration
	}{
		{[]string{"--until", "90d"}, "", 90 * 24 * time.Hour},
		{[]string{"--from", "2100-01-01T00:00:00+08:00", "--until", "2h"}, "2100-01-01T00:00:00+08:00", 2 * time.Hour},
		{[]string{"--from", "2100-01-01T00:00:00Z", "--until", "2100-01-02T00:00:00Z"}, "2100-01-01T00:00:00Z", 24 * time.Hour},
	} {
		args := append([]string{"code", "mint", "--origin", url, "--token", "token", "demo-a", "a b", "--signed"}, tc.args...)
		before := time.Now()
		out, err := verb(t.Context(), strings.NewReader(""), args...)
		if err != nil || !strings.HasPrefix(out, "SS1.DEMO-A.") || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: %q, %v", tc.args, out, err)
		}
		var order scanedge.CodeOrder
		if err := json.Unmarshal([]byte(o.order), &order); err != nil || order.Until.Sub(order.From) != tc.last {
			t.Errorf("%q: the order is %s, %v", tc.args, o.order, err)
		}
		if tc.from == "" && (order.From.Before(before.Truncate(time.Second)) || order.From.After(time.Now())) || tc.from != "" && order.From.Format(time.RFC3339) != tc.from {
			t.Errorf("%q: from %v", tc.args, order.From)
		}
	}
}

// Who mints with a clock that is off is told so, not left to wonder at the gate.
func TestClockOff(t *testing.T) {
	sent := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		server, want string
	}{
		{"2026-11-26T12:00:01.000Z", ""},
		{"2026-11-26T12:00:15.999Z", ""},
		{"2026-11-26T12:00:16.000Z", "15s behind"},
		{"2026-11-26T20:10:01.000+08:00", "10m behind"},
		{"2026-11-26T11:59:46.000Z", "15s ahead of"},
		{"noon", ""},
	} {
		off, _ := clockOff(scanedge.SubjectSecret{ServerTime: tc.server}, sent, sent.Add(2*time.Second))
		if off != tc.want {
			t.Errorf("%s: %q, want %q", tc.server, off, tc.want)
		}
	}
	o := codesOf{off: time.Hour}
	url := o.serve(t)
	var said bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"code", "mint", "--origin", url, "--token", "token", "demo-a", "d1"})
	root.SetOut(new(bytes.Buffer))
	root.SetErr(&said)
	if err := root.ExecuteContext(t.Context()); err != nil || !regexp.MustCompile(`^This machine's clock is (59|60)m behind the origin's: edges may refuse its codes\.\n$`).MatchString(said.String()) {
		t.Errorf("%q, %v", &said, err)
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-06-01T00:00:00+08:00": "2026-05-31T16:00:00Z", "90s": "2026-01-01T00:01:30Z", "2d": "2026-01-03T00:00:00Z",
		"": "", "2026-06-01": "", "-1h": "", "2026-06-01T00:00": "",
	} {
		var m moment
		err := m.Set(text)
		if got := m.after(now).UTC().Format(time.RFC3339); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
		if again := new(moment); err == nil && (again.Set(m.String()) != nil || !again.after(now).Equal(m.after(now))) {
			t.Errorf("%q is shown as %q", text, m.String())
		}
	}
}

// What the terminal, the PNG and the SVG show is the QR, module by module.
func TestPictures(t *testing.T) {
	for _, code := range []string{"SE1.DEMO-A.77777777MQYDAMBQGAYDAMBRK7MKX6DNCJ7YEADE", "demo-a:d000000001"} {
		p, err := pictureOf(code)
		if err != nil {
			t.Fatal(err)
		}
		lines := p.lines()
		image, err := png.Decode(bytes.NewReader(p.PNG()))
		if err != nil {
			t.Fatal(err)
		}
		drawn := svgModules(t, string(p.svg()), p.Size+8)
		for y := -terminalQuiet; y < p.Size+terminalQuiet; y++ {
			for x := -terminalQuiet; x < p.Size+terminalQuiet; x++ {
				cell := []rune(lines[(y+terminalQuiet)/2].text)[x+terminalQuiet]
				black := cell == '█' || cell == []rune("▀▄")[(y+terminalQuiet)%2]
				r, _, _, _ := image.At((x+4)*8+4, (y+4)*8+4).RGBA()
				if want := p.Black(x, y); black != want || (r == 0) != want || drawn[[2]int{x + 4, y + 4}] != want {
					t.Fatalf("%s: module %d, %d is black: %v; terminal %v, PNG %v, SVG %v", code, x, y, want, black, r == 0, drawn[[2]int{x + 4, y + 4}])
				}
			}
		}
	}
}

// svgModules are the black modules of a drawing.
func svgModules(t *testing.T, svg string, side int) map[[2]int]bool {
	if !strings.Contains(svg, `viewBox="0 0 `+strconv.Itoa(side)+" "+strconv.Itoa(side)+`"`) {
		t.Errorf("the drawing has not %d modules a side: %.200s", side, svg)
	}
	black := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(svg, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			black[[2]int{x + i, y}] = true
		}
	}
	return black
}

func TestCodeShow(t *testing.T) {
	dir := t.TempDir()
	show := func(args ...string) string {
		t.Helper()
		out, err := verb(t.Context(), strings.NewReader("demo-a:d1\n"), append([]string{"code", "show"}, args...)...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return out
	}
	rolling, paper := "SE1.DEMO-A.AEBZCV5QMQYDAMBQGAYDAMBRTOOOU7IB4KFQ4UA2", passcode.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)), "demo-a", []byte("粤A"), 4102444800, 4102444860)
	for code, want := range map[string][]string{
		rolling: {"form +rolling", "subject +d000000001", "key id +1", "step +59856816, 2026-11-26 14:48:00 to 14:48:30Z; over for [0-9]+[smhd]", "QR +version 3, level M, alphanumeric"},
		paper:   {"form +signed", "subject +粤A", "good +2100-01-01T00:00:00Z until 2100-01-01T00:01:00Z; begins in [0-9]+d", "a photograph of it is as good", "QR +version 6, level M, alphanumeric"},
		"-":     {"code +demo-a:d1", "form +plain", "nothing but", "QR +version 1, level M, bytes"},
	} {
		out := show(code)
		for _, w := range append(want, "█▀▀▀▀▀█") {
			if !regexp.MustCompile(w).MatchString(out) {
				t.Errorf("%s: no %q in %s", code, w, out)
			}
		}
	}
	for _, ext := range []string{"png", "svg"} {
		file := filepath.Join(dir, "code."+ext)
		if out := show(rolling, "--"+ext, file); strings.Contains(out, "▀") {
			t.Errorf("drawn on the terminal too: %s", out)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() < 500 {
			t.Error(info, err)
		}
	}
	if out := show(rolling, "--json"); out != `{"code":"`+rolling+`","form":"rolling","issuer":"demo-a","subject":"d000000001","key_id":1,"step":59856816,"from":"2026-11-26T14:48:00Z","until":"2026-11-26T14:48:30Z"}`+"\n" {
		t.Error(out)
	}
	_, err := verb(t.Context(), strings.NewReader(""), "code", "show", rolling, "--png", filepath.Join(dir, "no/where.png"))
	wantExit(t, err, 1, "write the QR")
	_, err = verb(t.Context(), strings.NewReader(""), "code", "show", "SE1.\x1b[31m")
	wantExit(t, err, 1, `"SE1.\x1b[31m": malformed-code`)
}

func TestTheQRFitsTheTerminal(t *testing.T) {
	p, _ := pictureOf("demo-a:d1")
	var out bytes.Buffer
	s := screen{out: &out, size: func() (int, int) { return p.columns() - 1, 24 }}
	err := showCode(s, p, shownCode{Form: "plain"}, true)
	wantExit(t, err, 1, "this terminal has 24: widen it, or give --png")
	if out.Len() > 0 {
		t.Errorf("printed %s", &out)
	}
}

// A watched code is that of the step, from the first to the last second of each.
func TestWatchedCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(17 * time.Second) // into a step: the bubble's clock begins at one
		began := passcode.Step(time.Now().Unix())
		mint := func(step uint32) string { return "STEP" + strconv.Itoa(int(step-began)) }
		for name, s := range map[string]screen{"lines": {}, "terminal": {size: func() (int, int) { return 80, 24 }}} {
			var out bytes.Buffer
			s.out = &out
			ctx, cancel := context.WithTimeout(t.Context(), 73500*time.Millisecond) // 13 s, and two steps
			began = passcode.Step(time.Now().Unix())
			if err := watchCode(ctx, s, mint); err != nil {
				t.Error(err)
			}
			cancel()
			if name == "lines" && out.String() != "STEP0\nSTEP1\nSTEP2\nSTEP3\n" {
				t.Errorf("%s: %q", name, &out)
			}
			for step, seconds := range []int{13, 30, 30, 1} {
				if n := strings.Count(out.String(), "STEP"+strconv.Itoa(step)+clearRight); name == "terminal" && n != seconds {
					t.Errorf("STEP%d was shown %d times, want %d", step, n, seconds)
				}
			}
			time.Sleep(16500 * time.Millisecond) // to the same place in a step
		}
	})
}

func TestWatchedCodeOnSmallTerminals(t *testing.T) {
	code := "SE1.DEMO-A.AEBZCV5QMQYDAMBQGAYDAMBRTOOOU7IB4KFQ4UA2"
	for size, want := range map[[2]int][]bool{{80, 24}: {true, true}, {80, 18}: {true, false}, {33, 20}: {true, true}, {33, 19}: {true, false}, {80, 17}: {false, true}, {32, 24}: {false, true}} {
		var out bytes.Buffer
		s := screen{out: &out, size: func() (int, int) { return size[0], size[1] }}
		if err := s.redrawCode(code, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := []bool{strings.Contains(out.String(), "█▀▀▀▀▀█"), strings.Contains(out.String(), code)}; got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%v: QR and text are shown: %v, want %v", size, got, want)
		}
		if n := strings.Count(out.String(), "\n"); want[0] && n >= size[1] {
			t.Errorf("%v: %d lines", size, n+1)
		}
	}
}
