package origin

import (
	_ "embed"
	"io"
	"net/http"
)

// openAPI is the contract of an origin, its admin listener included.
//
//go:embed openapi.yaml
var openAPI string

// serveContract answers GET /v1/openapi.yaml, to everybody.
func (o *Origin) serveContract(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/yaml")
	rw.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(rw, openAPI) // what fails here is the connection
}
