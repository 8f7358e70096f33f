import "./style/base.css";
import "./style/input.css";
import "./style/detail.css";
import "./style/table.css";
import "./style/series.css";

import { App } from "./app";
import { keepOffline } from "./offline";

void new App().start().then(keepOffline); // the model goes first
