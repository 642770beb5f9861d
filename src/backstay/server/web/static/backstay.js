// All elements, for pages that embed them: <script type="module" src="…/static/backstay.js"></script>

export { configure } from "./client.js";
export { openPage, signIn, signOut } from "./session.js";
export { BackupProgress } from "./backup-progress.js";
export { BatchSummary } from "./batch-summary.js";
export { PreDeleteBackup } from "./pre-delete-backup.js";
export { ResumeDialog } from "./resume-dialog.js";
