package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/edge/passcode"
)

// spellings are how a text might be written down, in any case of letters: as it is, escaped for a URL once and twice, and by each common encoding.
func spellings(text string) map[string]string {
	escaped := url.PathEscape(text)
	all := map[string]string{
		"plain": text, "escaped": escaped, "for a query": url.QueryEscape(text), "escaped twice": url.PathEscape(escaped), "quoted": fmt.Sprintf("%+q", text),
		"in hex":    hex.EncodeToString([]byte(text)),
		"in base32": base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(text[:len(text)/5*5])), // as in a code's payload
		"in base64": base64.RawStdEncoding.EncodeToString([]byte(text[:len(text)/3*3])), "in URL's base64": base64.RawURLEncoding.EncodeToString([]byte(text[:len(text)/3*3])),
		"as bytes": strings.Trim(fmt.Sprint([]byte(text)), "[]"),
	}
	all["every byte escaped"] = percent(text)
	for how, s := range all {
		all[how] = strings.ToLower(s)
	}
	return all
}

func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02X", text[i])
	}
	return b.String()
}

// shownCodes are subjects and codes that nobody is to write down, of every kind and of every fate.
func shownCodes(t *testing.T, up fleet.Up) (subjects []string, codes map[string]string) {
	t.Helper()
	held, unheld := "holder-of-a-secret-name", "nobody-of-this-name"
	if _, err := scanedge.NewOrigin(up.Origin, up.PushToken).Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: held, Status: scanedge.Red}}); err != nil {
		t.Fatal(err)
	}
	now, good := passcode.Step(time.Now().Unix()), enrolPhone(t, up, "demo-a", held)
	mint := func(step uint32) string { return good.secret.Mint("demo-a", byte(good.KeyID), []byte(held), step) }
	var paper, later scanedge.SignedCode
	orderOf(t, up, http.MethodPost, "/v1/issuers/demo-a/subjects/"+held+"/codes", `{"until":"2100-01-01T00:00:00Z"}`, &paper)
	orderOf(t, up, http.MethodPost, "/v1/issuers/demo-a/subjects/"+held+"/codes", `{"from":"2099-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"}`, &later)
	return []string{held, unheld, "subject-with-粤A·12345"}, map[string]string{
		"plain": "demo-a:" + held, "unknown": "demo-a:" + unheld, "not ASCII": "demo-a:subject-with-粤A·12345", "of no issuer here": "elsewhere:" + held,
		"rolling": good.code(), "of another key": passcode.Secret{1}.Mint("demo-a", 200, []byte(held), now),
		"expired": mint(now - 100), "ahead": mint(now + 100), "forged": passcode.Secret{1}.Mint("demo-a", byte(good.KeyID), []byte(held), now),
		"rolling and unknown": enrolPhone(t, up, "demo-a", unheld).code(), "signed": paper.Code, "signed for later": later.Code,
		"signed and forged": paper.Code[:len(paper.Code)-10] + "ABCDEFGHIJ", "rolling in lower case": strings.ToLower(good.code()), "cut": good.code()[:40],
		"of no form": held + " is no code", "with a control": "demo-a:" + held + "\x01", "not UTF-8": "demo-a:" + held + "\xff", "with a line end": "demo-a:" + held + "\r\nX-Y: z",
		"twice a colon": "demo-a:" + held + ":" + unheld, "too long": "demo-a:" + strings.Repeat(held, 10),
	}
}

// No process writes down what is scanned: no code and no subject is in a log, in what up prints, in a metric or a report, or in any other file but
// those that exist to hold them, whatever the code is, whoever shows it and however it is sent.
func TestCodesAreWrittenNowhere(t *testing.T) {
	dir := t.TempDir()
	said, err := os.Create(filepath.Join(dir, "up.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(bin, "up", "--dir", filepath.Join(dir, "var"), "--subjects", "300", "--edges", "2")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
	defer func() { _ = cmd.Process.Kill() }()
	var up *fleet.Up
	eventually(t, "up", func() bool { up, err = fleet.LoadUp(filepath.Join(dir, "var", "up.json")); return err == nil })

	subjects, codes := shownCodes(t, *up)
	keys := map[string]string{"a scanner": up.ScannerKey, "a holder": "", "a stranger": "scan-nonsense"}
	answers := map[string]int{}
	n := 0
	for _, code := range codes {
		for _, key := range keys {
			for _, r := range requestsOf(code, key, up.Edges[n%2]) {
				answers[r.send(t)]++
			}
			n++
		}
	}
	t.Logf("answers by status: %v", answers)
	for _, status := range []string{"200", "400", "401", "404", "410", "413", "422"} {
		if answers[status] == 0 {
			t.Errorf("nothing was answered %s, so not all was tried", status)
		}
	}
	typeCodes(t, dir, *up, codes)
	texts := map[string][]byte{}
	for name, base := range map[string]string{"origin": up.OriginAdmin, up.Edges[0].Name: up.Edges[0].Admin, up.Edges[1].Name: up.Edges[1].Admin} {
		for _, path := range []string{"/metrics", "/v1/report", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
			texts[name+path] = getAs(t, base+path, "")
		}
	}
	for _, path := range []string{"/v1/status", "/v1/edges", "/v1/tokens", "/v1/issuers", "/v1/issuers/demo-a"} {
		texts["origin"+path] = getAs(t, up.Origin+path, up.AdminToken)
	}
	pid := up.Edges[0].PID // what is written when another process takes over counts too
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "taken over", func() bool {
		now, err := fleet.LoadUp(filepath.Join(dir, "var", "up.json"))
		return err == nil && now.Edges[0].PID != pid
	})
	stop()
	lookForCodes(t, dir, texts, subjects, codes)
}

// lookForCodes looks for subjects and codes in texts and in all files of a folder. In up.json there is a code, which must be found there.
func lookForCodes(t *testing.T, dir string, texts map[string][]byte, subjects []string, codes map[string]string) {
	t.Helper()
	for _, name := range subjects {
		codes["the subject "+name] = name
	}
	needles := map[string]string{}
	for what, text := range codes {
		for how, spelt := range spellings(text) {
			needles[spelt] = what + ", " + how
		}
		if payload := text[strings.LastIndexByte(text, '.')+1:]; strings.HasPrefix(text, "S") && payload != text {
			needles[strings.ToLower(payload)] = what + ", its payload"
		}
	}
	look := func(place string, text []byte) (found bool) {
		text = bytes.ToLower(text)
		for needle, what := range needles {
			if bytes.Contains(text, []byte(needle)) {
				t.Errorf("%s holds the code or subject %q (%s)", place, needle, what)
				return true
			}
		}
		return false
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		look(path, b)
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("%d files were read: %v", files, err)
	}
	for place, text := range texts {
		look(place, text)
	}
	if len(texts["edge-1/metrics"]) == 0 || !bytes.Contains(texts["edge-1/metrics"], []byte(`scanedge_scans_total`)) {
		t.Error("there are no metrics to look at")
	}
}

// sent is a request as bytes, to a place.
type sent struct {
	base string
	raw  []byte
}

// requestsOf are the ways in which a code can be brought to an edge, in the right place and in every wrong one.
func requestsOf(code, key string, e fleet.Edge) (all []sent) {
	auth := ""
	if key != "" {
		auth = "Authorization: Bearer " + key + "\r\n"
	}
	get := func(path, more string) []byte {
		return []byte("GET " + path + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n" + auth + more + "\r\n")
	}
	post := func(kind, body string) []byte {
		return fmt.Appendf(nil, "POST /v1/scan HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", auth, kind, len(body), body)
	}
	escaped, header := url.PathEscape(code), strings.NewReplacer("\r", "", "\n", "", "\x01", "").Replace(code)
	for _, raw := range [][]byte{
		get("/v1/scan/"+escaped, ""), get("/v1/scan/"+url.PathEscape(escaped), ""), get("/v1/scan/"+percent(code), ""), get("/v1/scan/"+code, ""),
		get("/v1/scan/"+strings.Repeat(escaped, 3000), ""), get("/"+escaped, ""), get("/v1/scan?code="+url.QueryEscape(code), ""),
		get("/v1/scan/"+escaped, "Scanedge-Min-Offset: "+header+"\r\n"), get("/v1/scan/"+escaped, "Accept: "+header+"\r\nUser-Agent: "+header+"\r\nX-Forwarded-For: "+header+"\r\n"),
		get("/v1/scan/"+escaped, header+"\r\n"), get("/v1/scan/"+escaped, "X: "+strings.Repeat(header, 3000)+"\r\n"),
		[]byte(code + "\r\n\r\n"), []byte("GET /v1/scan/" + escaped + "\r\n\r\n"), []byte("GET /v1/scan/" + escaped + " HTTP/9.9\r\nHost: " + header + "\r\n\r\n"),
		[]byte("PUT /v1/scan/" + escaped + " HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
		post("text/plain", code+"\n"), post("application/x-ndjson", fmt.Sprintf("%q\n{\"code\":%q}\n{\"code\":%q,\n", code, code, code)), post("text/csv", code), post(header, code),
		post("text/plain", strings.Repeat(header+"\n", 11_000)), post("text/plain", strings.Repeat(header, (2<<20)/len(header))),
		[]byte("POST /v1/scan HTTP/1.1\r\nHost: edge\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n" + header + "\r\n"),
	} {
		all = append(all, sent{e.Scan, raw})
	}
	return append(all, sent{e.ScanTLS, get("/v1/scan/"+escaped, "")}, sent{e.ScanTLS, []byte("nonsense " + code)}, sent{e.Admin, get("/v1/scan/"+escaped, "")},
		sent{e.Admin, get("/metrics?"+url.QueryEscape(code), "Host: "+header+"\r\n")}, sent{strings.Replace(e.ScanTLS, "https", "http", 1), get("/v1/scan/"+escaped, "")})
}

// send returns the status of the answer, "none" if there is none. What an edge does not want to read it need not.
func (s sent) send(t *testing.T) string {
	t.Helper()
	scheme, addr, _ := strings.Cut(s.base, "://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if scheme == "https" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		_, _ = c.Write(s.raw)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "none"
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return fmt.Sprint(res.StatusCode)
}

// typeCodes shows codes to the command line, as people do; what that prints is for them. It must leave nothing behind.
func typeCodes(t *testing.T, dir string, up fleet.Up, codes map[string]string) {
	t.Helper()
	for _, what := range []string{"plain", "unknown", "rolling", "forged", "signed", "of no form"} {
		for _, verb := range [][]string{{"scan", "--up", filepath.Join(dir, "var", "up.json")}, {"code", "verify", "--up", filepath.Join(dir, "var", "up.json")}, {"code", "show"}} {
			cmd := exec.Command(bin, append(verb, codes[what])...)
			cmd.Dir = dir
			_ = cmd.Run() // most are refused
		}
	}
	_, _ = scanedge.NewOrigin(up.Origin, up.PushToken).PushReader(t.Context(), "demo-a", "text/csv", strings.NewReader("subject,status\nholder-of-a-secret-name,blue\n"))
	_, _ = scanedge.NewOrigin(up.Origin, "push-nonsense").PushReader(t.Context(), "demo-a", "text/csv", strings.NewReader("subject,status\nholder-of-a-secret-name,red\n"))
	for _, path := range []string{"/v1/issuers/demo-a/subjects/holder-of-a-secret-name", "/v1/issuers/elsewhere/subjects/holder-of-a-secret-name", "/holder-of-a-secret-name"} {
		for _, token := range []string{up.AdminToken, up.PushToken, ""} {
			getAs(t, up.Origin+path, token)
			getAs(t, up.OriginAdmin+path, token)
		}
	}
}
