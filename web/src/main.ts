import "./style.css";

import { App } from "./app";
import { keepOffline } from "./offline";

keepOffline();
void new App().start();
