// The entry of the pages.
import { render } from "preact";
import { App } from "./app";
import { follow } from "./lib/location";
import { applyTheme } from "./lib/theme";

applyTheme();
follow();
render(<App />, document.getElementById("app")!);
