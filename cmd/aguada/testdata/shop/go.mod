module example.test/shop

go 1.26

tool example.test/shop/tools/goa
