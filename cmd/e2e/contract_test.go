package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/scanedge/scanedge"
)

// contract is an OpenAPI document as a running server gives it away. The contract's exchanges are held to it, and it to them: an
// answer that it does not have is wrong, and so is one of its own that occurs in no exchange.
type contract struct {
	name string

	mu    sync.Mutex // guards what follows: the validator makes schemas when they are first needed
	model *v3.Document
	check validator.Validator
	seen  map[string]bool // answers, as answerName names them
}

// answerName names an answer of an operation by its status and its word, "" if it has none.
func answerName(method, path string, status int, word string) string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s %d %s", method, path, status, word), " ")
}

// fetchContract asks a server for its contract, which must be OpenAPI.
func fetchContract(t *testing.T, name, base string) *contract {
	t.Helper()
	resp, err := http.Get(base + "/v1/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the contract of the %s: %s, %v", name, resp.Status, err)
	}
	return parseContract(t, name, text)
}

func parseContract(t *testing.T, name string, text []byte) *contract {
	t.Helper()
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatalf("the contract of the %s: %v", name, err)
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatalf("the contract of the %s: %v", name, err)
	}
	plain := content.DecoderFunc(func(in *content.DecodeInput) (any, error) {
		b, err := io.ReadAll(in.Body)
		return strings.TrimSuffix(string(b), "\n"), err
	})
	check, errs := validator.NewValidator(doc, config.WithFormatAssertions(), config.WithBodyDecoder("application/x-ndjson", content.DecoderFunc(decodeLines)),
		config.WithBodyDecoder("text/plain", plain), config.WithBodyDecoder("application/yaml", plain))
	if len(errs) > 0 {
		t.Fatalf("the contract of the %s: %v", name, errs)
	}
	if ok, errs := check.ValidateDocument(); !ok {
		t.Fatalf("the contract of the %s is no OpenAPI: %v", name, findings(errs))
	}
	for response, answer := range model.Model.Components.Responses.FromOldest() {
		_, named, _ := strings.Cut(response, ".")
		if words := strings.Join(documentedWords(answer), "."); words != "" && words != named {
			t.Errorf("the contract of the %s: response %s has the words %s", name, response, words)
		}
	}
	return &contract{name: name, model: &model.Model, check: check, seen: map[string]bool{}}
}

// decodeLines reads NDJSON as the list of its lines.
func decodeLines(in *content.DecodeInput) (any, error) {
	lines := []any{}
	for d := json.NewDecoder(in.Body); ; {
		var line any
		if err := d.Decode(&line); err == io.EOF {
			return lines, nil
		} else if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
}

func findings(errs []*errors.ValidationError) (all []string) {
	for _, err := range errs {
		one := err.Message + ": " + err.Reason
		for _, f := range err.SchemaValidationErrors {
			one += fmt.Sprintf("; %v: %s", f.InstancePath, f.Reason)
		}
		all = append(all, one)
	}
	return all
}

// listeners says on which listeners what has a tag is served.
var listeners = map[string]struct{ api, admin bool }{
	"scan": {api: true}, "admin": {admin: true}, // of an edge
	"push": {api: true}, "edge": {api: true}, "operator": {true, true}, "approve": {true, true}, "monitoring": {admin: true}, // of an origin
}

// paths returns the document's path that a target is of, and what of it there is on that listener.
func (c *contract) path(target string, admin bool) (string, map[string]*v3.Operation) {
	target, _, _ = strings.Cut(target, "?")
	if _, rest, ok := strings.Cut(target, "://"); ok {
		target = rest[strings.IndexByte(rest, '/'):]
	}
	best, found := "", map[string]*v3.Operation{}
	for template, item := range c.model.Paths.PathItems.FromOldest() {
		if !matches(template, target) || best != "" && strings.Count(best, "{") <= strings.Count(template, "{") {
			continue
		}
		ops := map[string]*v3.Operation{}
		for method, op := range item.GetOperations().FromOldest() {
			if slices.ContainsFunc(op.Tags, func(tag string) bool { return admin && listeners[tag].admin || !admin && listeners[tag].api }) {
				ops[strings.ToUpper(method)] = op
			}
		}
		if len(ops) > 0 {
			best, found = template, ops
		}
	}
	return best, found
}

// matches tells whether a template stands for a path. A code, and a profile's name, take all that is left, also nothing.
func matches(template, path string) bool {
	for _, rest := range []string{"{code}", "{profile}"} {
		if before, ok := strings.CutSuffix(template, rest); ok {
			return strings.HasPrefix(path, before)
		}
	}
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != "" && got != ".."
	})
}

// judge holds an exchange to the document and says what is not in it. An answer that is as the exchange expects it counts as seen.
func (c *contract) judge(e *exchange, resp *http.Response, body []byte, expected bool) (wrong []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	method, target, _ := strings.Cut(e.request, " ")
	path, ops := c.path(target, strings.HasSuffix(e.server, "-admin"))
	op := ops[method]
	if method == http.MethodHead && op == nil && resp.StatusCode != http.StatusMethodNotAllowed {
		op, method = ops[http.MethodGet], http.MethodGet
	}
	var answer *v3.Response
	var words []string
	if op != nil {
		answer = op.Responses.Codes.GetOrZero(strconv.Itoa(resp.StatusCode))
		words = wordsOf(body)
	}
	if answer == nil || !allIn(words, documentedWords(answer)) {
		return c.elsewhere(method, ops, resp, body)
	}
	if expected {
		for _, w := range append(words, "") {
			c.seen[answerName(method, path, resp.StatusCode, w)] = true
		}
	}
	item := c.model.Paths.PathItems.GetOrZero(path)
	if resp.StatusCode/100 == 2 && !bytes.Contains(body, []byte(scanedge.MalformedCode)) { // a line of a batch may be anything
		wrong = c.judgeRequest(e, op, item, path)
	}
	wrong = append(wrong, undocumented("header of the answer", resp.Header, func(name string) bool {
		return headerIn(answer, name) || slices.Contains(transport, name)
	})...)
	if strings.HasPrefix(e.request, http.MethodHead) {
		return wrong
	}
	return append(wrong, c.judgeAnswer(&http.Request{Method: method, URL: &url.URL{Path: path}}, item, path, resp, body)...)
}

func (c *contract) judgeAnswer(req *http.Request, item *v3.PathItem, path string, resp *http.Response, body []byte) []string {
	copied := *resp
	copied.Body = io.NopCloser(bytes.NewReader(body))
	_, errs := c.check.GetResponseBodyValidator().ValidateResponseBodyWithPathItem(req, &copied, item, path)
	return findings(errs)
}

// transport are headers that HTTP has of itself, and those that an edge adds to every answer where pages may ask it.
var transport = []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"}

func undocumented(what string, h http.Header, in func(string) bool) (wrong []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !in(name) {
			wrong = append(wrong, fmt.Sprintf("the contract has no %s %s", what, name))
		}
	}
	return wrong
}

func headerIn(answer *v3.Response, name string) bool {
	for documented := range answer.Headers.KeysFromOldest() {
		if http.CanonicalHeaderKey(documented) == name {
			return true
		}
	}
	return false
}

// judgeRequest holds a request that was answered well to the document.
func (c *contract) judgeRequest(e *exchange, op *v3.Operation, item *v3.PathItem, path string) []string {
	_, target, _ := strings.Cut(e.request, " ")
	req := &http.Request{Method: strings.Fields(e.request)[0], URL: &url.URL{Path: path}, Header: http.Header{}}
	if _, query, ok := strings.Cut(target, "?"); ok {
		req.URL.RawQuery, _, _ = strings.Cut(query, "#")
	}
	for _, h := range e.headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	known := map[string]bool{"Authorization": true, "Accept": true, "Content-Type": true, "Content-Length": true, "Transfer-Encoding": true}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		known[p.In+" "+p.Name] = true
		known[textproto.CanonicalMIMEHeaderKey(p.Name)] = known[textproto.CanonicalMIMEHeaderKey(p.Name)] || p.In == "header"
	}
	wrong := undocumented("header of the request", req.Header, func(name string) bool { return known[name] })
	if strings.HasPrefix(path, "/v1/scan/") {
		req.URL.RawQuery = "" // what follows a code is ignored
	}
	for name := range req.URL.Query() {
		if !known["query "+name] {
			wrong = append(wrong, "the contract has no query "+name)
		}
	}
	_, errs := c.check.GetParameterValidator().ValidateQueryParamsWithPathItem(req, item, path)
	wrong = append(wrong, findings(errs)...)
	_, errs = c.check.GetParameterValidator().ValidateHeaderParamsWithPathItem(req, item, path)
	wrong = append(wrong, findings(errs)...)
	if op.RequestBody == nil || len(e.body) == 0 {
		return wrong
	}
	if req.Header.Get("Content-Type") == "" && op.RequestBody.Content.GetOrZero("application/json") != nil {
		req.Header.Set("Content-Type", "application/json") // orders say no type
	}
	if op.RequestBody.Content.GetOrZero(req.Header.Get("Content-Type")) == nil {
		return wrong
	}
	sent := *e
	sent.gzip, sent.times, sent.cut = false, 0, 0
	req.Body = io.NopCloser(bytes.NewReader(sent.payload()))
	_, errs = c.check.GetRequestBodyValidator().ValidateRequestBodyWithPathItem(req, item, path)
	return append(wrong, findings(errs)...)
}

// elsewhere holds an answer that is of no operation to the rules which the document has for those: no path, no method, no HTTP.
func (c *contract) elsewhere(method string, ops map[string]*v3.Operation, resp *http.Response, body []byte) []string {
	word := strings.Join(wordsOf(body), " ")
	name := strings.TrimSuffix(fmt.Sprintf("%d.%s", resp.StatusCode, word), ".")
	switch {
	case resp.StatusCode == http.StatusNoContent && method == http.MethodOptions && strings.Contains(c.model.Info.Description, "preflight"):
		return nil
	case resp.StatusCode == http.StatusMethodNotAllowed && len(ops) > 0 && ops[method] == nil:
		allowed := slices.DeleteFunc(strings.Split(resp.Header.Get("Allow"), ", "), func(m string) bool { return m == http.MethodHead })
		slices.Sort(allowed)
		if documented := slices.Sorted(maps.Keys(ops)); !slices.Equal(allowed, documented) {
			return []string{fmt.Sprintf("the path takes %v, and the contract has %v", allowed, documented)}
		}
		if method == http.MethodHead {
			return nil
		}
	case resp.StatusCode == http.StatusNotFound && word == "not-found" && len(ops) == 0:
	case resp.StatusCode == http.StatusBadRequest && word == "bad-request":
	default:
		return []string{fmt.Sprintf("the contract has no answer %s here", name)}
	}
	answer := c.model.Components.Responses.GetOrZero(name)
	if answer == nil {
		return []string{"the contract has no response " + name}
	}
	wrong := undocumented("header of the answer", resp.Header, func(h string) bool { return headerIn(answer, h) || slices.Contains(transport, h) })
	// The validator knows answers by operation alone: one is made that has this answer and no other.
	codes := *c.model.Paths.PathItems.First().Value().GetOperations().First().Value()
	codes.Responses = &v3.Responses{Codes: c.model.Components.Responses, Default: answer}
	item := &v3.PathItem{Get: &codes}
	return append(wrong, c.judgeAnswer(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}}, item, "/", resp, body)...)
}

// wordsOf returns the words in an answer: the type of a problem, the errors of a batch.
func wordsOf(body []byte) (words []string) {
	for line := range bytes.Lines(body) {
		var object struct{ Type, Error string }
		if json.Unmarshal(line, &object) != nil {
			continue
		}
		for _, w := range []string{object.Type, object.Error} {
			if w != "" && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return words
}

// documentedWords returns the words that an answer may have.
func documentedWords(answer *v3.Response) (words []string) {
	for media := range answer.Content.ValuesFromOldest() {
		if media.Schema != nil {
			words = append(words, wordsIn(media.Schema)...)
		}
	}
	return words
}

func wordsIn(p *base.SchemaProxy) (words []string) {
	s := p.Schema()
	for name, property := range s.Properties.FromOldest() {
		if name == "type" || name == "error" {
			for _, n := range property.Schema().Enum {
				words = append(words, n.Value)
			}
		}
	}
	for _, parts := range [][]*base.SchemaProxy{s.AllOf, s.AnyOf, s.OneOf} {
		for _, part := range parts {
			words = append(words, wordsIn(part)...)
		}
	}
	if s.Items != nil && s.Items.IsA() {
		words = append(words, wordsIn(s.Items.A)...)
	}
	return words
}

func allIn(words, all []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(all, w) })
}

// answers lists all that the document has: those without a word, and those with one.
func (c *contract) answers() (all []string) {
	for path, item := range c.model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			for code, answer := range op.Responses.Codes.FromOldest() {
				status, _ := strconv.Atoi(code)
				words := documentedWords(answer)
				if status/100 == 2 || len(words) == 0 {
					words = append(words, "")
				}
				for _, w := range words {
					all = append(all, answerName(strings.ToUpper(method), path, status, w))
				}
			}
		}
	}
	return all
}

// unseen lists the answers that occurred in no exchange, though nothing excuses them, and those that did though something does.
func (c *contract) unseen() (wrong []string) {
	for _, a := range c.answers() {
		_, excused := notAnswered[c.name+": "+a]
		if fields := strings.Fields(a); len(fields) == 4 {
			for p := range notScripted {
				excused = excused || string(p) == fields[3]
			}
		}
		if c.seen[a] == excused {
			wrong = append(wrong, fmt.Sprintf("%s: %s: occurred in an exchange: %v, excused: %v", c.name, a, c.seen[a], excused))
		}
	}
	return wrong
}

// notAnswered are answers that no exchange can provoke though others of the word do, each with the reason.
var notAnswered = map[string]string{
	"edge: POST /v1/scan 200 not-ready": "a table must be catching up; the tests of edge have one",

	"origin: GET /readyz 503 not-ready":                                "an origin must be starting; the tests of sync/origin and the faults have some",
	"origin: GET /v1/issuers/{issuer}/offsets/{offset} 503 not-ready":  "an origin must be stopping; the tests of sync/origin stop some",
	"origin: POST /v1/edges/self/reports 503 not-ready":                "the same",
	"origin: GET /v1/control 503 not-ready":                            "the same",
	"origin: GET /v1/issuers/{issuer}/log 503 not-ready":               "the same",
	"origin: POST /v1/issuers/{issuer}/held/{id}/approve 400 body-cut": "who approves must hang up before his turn comes; the tests of sync/origin do",
	"origin: GET /v1/backup 400 bad-request":                           "it must be asked for from elsewhere; the tests of sync/origin do",
	"origin: GET /v1/issuers/{issuer}/code-keys 400 bad-request":       "as above",
	"origin: POST /v1/join 400 body-cut":                               "who joins must hang up, which a TLS client does not by halves; the other orders do",
	"origin: POST /v1/edges/self/renew 400 body-cut":                   "the same",
	"origin: GET /v1/issuers/{issuer}/snapshot 200":                    "a snapshot must have been written; the faults have edges that fetch some",
	"origin: GET /v1/issuers/{issuer}/snapshots/{id} 200":              "the same",
	"origin: GET /v1/issuers/{issuer}/snapshots/{id} 206":              "the same",
	"origin: GET /v1/issuers/{issuer}/snapshots/{id} 416":              "the same",
}
