// The address of the list of conversations that shows the result of a delete, with its undo.

export function listAfter(deletion, list) {
  const address = new URL(list);
  for (const name of ["deleteBackupId", "deletedWithoutBackup", "undone"]) address.searchParams.delete(name);
  if (deletion.backupId === null) address.searchParams.set("deletedWithoutBackup", deletion.deleted);
  else address.searchParams.set("deleteBackupId", deletion.backupId);
  return address.href;
}
