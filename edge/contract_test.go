package edge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// documented is what openapi.yaml says that requests may be answered with: by "METHOD path" the names of its responses, such as
// "404.unknown-subject.issuer-not-held", and by "" those that are of no operation. That a response has the words of its name is held by cmd/e2e.
var documented = func() map[string][]string {
	all, path, method := map[string][]string{}, "", ""
	for _, line := range strings.Split(OpenAPI, "\n") {
		if m := regexp.MustCompile(`^  (/\S*):`).FindStringSubmatch(line); m != nil {
			path = m[1]
		} else if m := regexp.MustCompile(`^    (get|post):`).FindStringSubmatch(line); m != nil {
			method = strings.ToUpper(m[1])
		} else if m := regexp.MustCompile(`^        "(\d+)":.*?(?:responses/([^"]+)|$)`).FindStringSubmatch(line); m != nil {
			op := method + " " + path
			all[op] = append(all[op], m[1]+strings.TrimPrefix(m[2], m[1]))
		} else if m := regexp.MustCompile(`^    (\d{3}\.\S+):`).FindStringSubmatch(line); m != nil {
			all[""] = append(all[""], m[1])
		}
	}
	return all
}()

// operationOf is the operation that a request is of, "" if it is of none.
func operationOf(method, target string) string {
	path, _, _ := strings.Cut(string(originForm([]byte(target))), "?")
	if strings.HasPrefix(path, "/v1/scan/") {
		path = "/v1/scan/{code}"
	}
	op := method + " " + path
	if documented[op] == nil || path != "/v1/scan" && path != "/v1/scan/{code}" && path != OpenAPIPath { // the others are the admin listener's
		return ""
	}
	return op
}

// answersTo reports whether a request may be answered with a status and a word, "" for none.
func answersTo(op string, status int, word string) bool {
	may := documented[op]
	if op == "" {
		may = []string{"404.not-found", "405.method-not-allowed", "503.overloaded"}
	}
	may = append(slices.Clone(may), "400.bad-request", "413.too-large") // what could not be read
	return slices.ContainsFunc(may, func(name string) bool {
		got, words, _ := strings.Cut(name, ".")
		return got == fmt.Sprint(status) && (word == "" && words == "" || slices.Contains(strings.Split(words, "."), word) || words == "document")
	})
}
