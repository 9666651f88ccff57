package origin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/scanedge/scanedge"
)

// What is read of a small body, in bytes: an operator's order, and what an edge or of an edge is asked for, which may be a
// certificate's request or a long list.
const (
	maxOrder    = 4 << 10
	maxEdgeBody = 64 << 10
)

// restWithin is how long an answer waits for the rest of a body that its handler did not want.
const restWithin = 100 * time.Millisecond

// inTime is h for requests whose bodies may never come. The server reads on to the end of a body before it sends an answer that does without it, so
// that the sender sees the answer and no reset connection; here it gives up soon. Handlers that read a body set times of their own.
func inTime(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.ContentLength == 0 {
			h.ServeHTTP(rw, req)
			return
		}
		conn := http.NewResponseController(rw)
		_ = conn.SetReadDeadline(time.Now().Add(slowBody)) // a test's recorder has no deadlines
		body := &endingBody{ReadCloser: req.Body, conn: conn}
		req.Body = body
		h.ServeHTTP(rw, req)
		if !body.ended {
			_ = conn.SetReadDeadline(time.Now().Add(restWithin))
		}
	})
}

// endingBody takes the deadline off at its end: from there on the server reads the connection to see it close.
type endingBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	ended bool
}

func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended = true
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// readJSON reads a body of one JSON object, or of none, into a struct. Its problem says what is expected: a sentence that ends with
// an example.
func readJSON(rw http.ResponseWriter, req *http.Request, most int64, expected string, into any) *scanedge.Problem {
	body, problem := readBody(rw, req, most)
	if problem == nil {
		if err := decodeOne(body, into); err != nil {
			problem = unexpected(expected, err)
		}
	}
	return problem
}

func unexpected(expected string, err error) *scanedge.Problem {
	return scanedge.NewProblem(scanedge.BadRequest, fmt.Sprintf("%s: %v", expected, err))
}

// readBody reads a small body. All of it has to come within slowBody: it is one packet, or a few.
func readBody(rw http.ResponseWriter, req *http.Request, most int64) ([]byte, *scanedge.Problem) {
	conn := http.NewResponseController(rw)
	_ = conn.SetReadDeadline(time.Now().Add(slowBody)) // a test's recorder has no deadlines
	body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, most))
	if err == nil { // else the server, which reads on to the body's end before it answers, is to come to an end too
		_ = conn.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, scanedge.NewProblem(scanedge.TooLarge, fmt.Sprintf("the body of this request is one JSON object of up to %d bytes", most))
	case err != nil:
		return nil, scanedge.NewProblem(scanedge.BodyCut, err.Error())
	}
	return body, nil
}

// decodeOne reads one JSON object, with no member that the struct does not have and nothing after it. An empty body is an empty object.
func decodeOne(body []byte, into any) error {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return nil
	case body[0] != '{':
		return errors.New("the body is not a JSON object")
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	err := in.Decode(into)
	if err == nil {
		if _, err := in.Token(); err != io.EOF {
			return errors.New("something follows the JSON object; send one alone")
		}
		return nil
	}
	var other *json.UnmarshalTypeError
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("%q is a %s where %s belongs", other.Field, other.Value, inWords(other.Type))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON object is cut short")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// inWords is what JSON calls the values of a type.
func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a number in the range of " + t.Kind().String()
}
