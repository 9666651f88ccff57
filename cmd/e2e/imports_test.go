package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of packages in ARCHITECTURE.md says who may import whom; the code must agree, package for package.
func TestImportsAreWhatTheArchitectureAllows(t *testing.T) {
	doc, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|.*\\| ([^|]*) \\|$").FindAllStringSubmatch(string(doc), -1) {
		allowed[row[1]] = strings.Split(strings.ReplaceAll(row[2], "`", ""), ", ")
	}
	const module = "github.com/scanedge/scanedge"
	short := func(path string) string {
		if path == module {
			return "root"
		}
		return strings.TrimPrefix(path, module+"/")
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		path, imports, _ := strings.Cut(line, " ")
		may, listed := allowed[short(path)]
		if !listed {
			t.Errorf("%s is not in the table of ARCHITECTURE.md", short(path))
		}
		for _, imp := range strings.Fields(imports) {
			ours := imp == module || strings.HasPrefix(imp, module+"/")
			if ours && !slices.Contains(may, "all") && !slices.Contains(may, short(imp)) {
				t.Errorf("%s imports %s; ARCHITECTURE.md allows it %v", short(path), short(imp), may)
			}
		}
		delete(allowed, short(path))
	}
	for name := range allowed {
		t.Errorf("ARCHITECTURE.md has %s in its table, the code has not", name)
	}
}
