package edge

import (
	_ "embed"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
)

// OpenAPI is the contract of an edge, its admin listener included: what GET [OpenAPIPath] answers.
//
//go:embed openapi.yaml
var OpenAPI string

// OpenAPIPath is where a server's contract is.
const OpenAPIPath = "/v1/openapi.yaml"

// handleContract answers GET /v1/openapi.yaml, to everybody.
func (s *Server) handleContract(ctx *fasthttp.RequestCtx) {
	if !ctx.IsGet() {
		ctx.Response.Header.Set("Allow", fasthttp.MethodGet)
		fail(ctx, scanedge.MethodNotAllowed)
		return
	}
	ctx.Response.Header.SetContentType("application/yaml")
	ctx.Response.SetBodyString(OpenAPI)
}
