package main

import (
	"time"

	"github.com/caarlos0/env/v11"
)

// Config is the page's. Corrected: the tags are of one library, so that the
// variables are read and the defaults apply.
//
// As on the page: GRPC_ADDR and LOG_LEVEL are read and used for nothing.
type Config struct {
	HTTPAddr     string        `env:"HTTP_ADDR" envDefault:":8080"`
	GRPCAddr     string        `env:"GRPC_ADDR" envDefault:":8081"`
	DatabaseURL  string        `env:"DATABASE_URL,required"`
	LogLevel     string        `env:"LOG_LEVEL" envDefault:"info"`
	ReadTimeout  time.Duration `env:"READ_TIMEOUT" envDefault:"10s"`
	WriteTimeout time.Duration `env:"WRITE_TIMEOUT" envDefault:"30s"`

	// Not on the page, which says neither where credentials nor where the
	// addresses of its dependencies come from.
	BasicUser       string `env:"BASIC_USER,required"`
	BasicPassword   string `env:"BASIC_PASSWORD,required"`
	APIKey          string `env:"API_KEY,required"`
	JWTSecret       string `env:"JWT_SECRET,required"`
	JWTIssuer       string `env:"JWT_ISSUER,required"`
	JWTAudience     string `env:"JWT_AUDIENCE,required"`
	DBHealthAddr    string `env:"DB_HEALTH_ADDR" envDefault:"127.0.0.1:8082"`
	CacheHealthAddr string `env:"CACHE_HEALTH_ADDR" envDefault:"127.0.0.1:8083"`
}

func loadConfig() (Config, error) { return env.ParseAs[Config]() }
