package layer

import (
	"net/http"

	goahttp "goa.design/goa/v3/http"

	ordersvr "github.com/aguada-dev/aguada/bench/gen/http/orders/server"
	"github.com/aguada-dev/aguada/bench/gen/orders"
)

// bareGoa is the service as Goa serves it with nothing on: the token is
// decoded and its auther lets everybody in.
func bareGoa() http.Handler {
	mux := goahttp.NewMuxer()
	e := orders.NewEndpoints(guarded{newShop(), open{}})
	ordersvr.Mount(mux, ordersvr.New(e, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil))
	return mux
}
