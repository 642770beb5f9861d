// The pages of backups: a backup in progress updates live, and the page reloads when it is ready.

import "../backup-progress.js";

for (const progress of document.querySelectorAll("backup-progress")) {
  progress.addEventListener("ready", () => window.location.reload());
}
