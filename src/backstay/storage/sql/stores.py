"""The stores of one database, whatever its kind."""

from backstay.backup.store import BackupStores
from backstay.batch.store import BatchStores
from backstay.clock import Clock
from backstay.storage.sql.backup_creation import SqlBackupCreation
from backstay.storage.sql.backup_records import SqlBackupRecords
from backstay.storage.sql.conversation_index import SqlConversationIndex
from backstay.storage.sql.conversations import SqlConversations
from backstay.storage.sql.database import Database
from backstay.storage.sql.deleted_results import SqlDeletedResults
from backstay.storage.sql.deletes import SqlDeletes
from backstay.storage.sql.edits import SqlEdits
from backstay.storage.sql.expiring_values import SqlExpiringValues
from backstay.storage.sql.intake import SqlIntake
from backstay.storage.sql.jobs import SqlJobs
from backstay.storage.sql.lists import SqlLists
from backstay.storage.sql.regenerations import SqlRegenerations
from backstay.storage.sql.restores import SqlRestores
from backstay.storage.sql.retention import SqlRetention
from backstay.storage.sql.reviews import SqlReviews
from backstay.storage.sql.revisions import SqlRevisions
from backstay.storage.sql.waiting_imports import SqlWaitingImports
from backstay.storage.sql.work import SqlWork


class SqlStores:
    """The stores of one database. A subclass opens and closes it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.batches = BatchStores(
            intake=SqlIntake(database, clock),
            work=SqlWork(database, clock),
            jobs=SqlJobs(database, clock),
            revisions=SqlRevisions(database, clock),
            deleted_results=SqlDeletedResults(database, clock),
        )
        self.conversations = SqlConversations(database, clock)
        self.lists = SqlLists(database, clock)
        self.index = SqlConversationIndex(database, clock)
        self.reviews = SqlReviews(database, clock)
        self.edits = SqlEdits(database, clock)
        self.backups = BackupStores(
            records=SqlBackupRecords(database, clock),
            creation=SqlBackupCreation(database, clock),
            deletes=SqlDeletes(database, clock),
            restores=SqlRestores(database, clock),
            retention=SqlRetention(database, clock),
        )
        self.regenerations = SqlRegenerations(database, clock)
        self.waiting_imports = SqlWaitingImports(database, clock)
        self.expiring_values = SqlExpiringValues(database, clock)
