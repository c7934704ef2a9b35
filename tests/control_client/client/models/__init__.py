""" Contains all the data models used in inputs/outputs """

from .apply_asked import ApplyAsked
from .blame_asked import BlameAsked
from .check_asked import CheckAsked
from .cluster_asked import ClusterAsked
from .copy_task import CopyTask
from .cut_place import CutPlace
from .cut_point import CutPoint
from .cut_point_gaps import CutPointGaps
from .deeds_query import DeedsQuery
from .deeds_view import DeedsView
from .deeds_view_deeds_item import DeedsViewDeedsItem
from .delivery_state import DeliveryState
from .diff_asked import DiffAsked
from .drill_asked import DrillAsked
from .drills_asked import DrillsAsked
from .expire_asked import ExpireAsked
from .failover_asked import FailoverAsked
from .fault import Fault
from .forget_renamed_asked import ForgetRenamedAsked
from .held_cut import HeldCut
from .hold_create_asked import HoldCreateAsked
from .hold_remove_asked import HoldRemoveAsked
from .holds_query import HoldsQuery
from .holds_report import HoldsReport
from .holds_view import HoldsView
from .holds_view_looked_at import HoldsViewLookedAt
from .ingest_task import IngestTask
from .job_state import JobState
from .job_view import JobView
from .job_view_document_type_0 import JobViewDocumentType0
from .job_view_request import JobViewRequest
from .jobs_query import JobsQuery
from .jobs_view import JobsView
from .known_gap import KnownGap
from .known_point import KnownPoint
from .listed_cut import ListedCut
from .listed_cut_gaps import ListedCutGaps
from .listed_hold import ListedHold
from .lock_asked import LockAsked
from .log_asked import LogAsked
from .metadata_asked import MetadataAsked
from .no_parameters import NoParameters
from .not_seen import NotSeen
from .notification_view import NotificationView
from .notifications_asked import NotificationsAsked
from .notifications_query import NotificationsQuery
from .notifications_view import NotificationsView
from .pause_asked import PauseAsked
from .plan_view import PlanView
from .plan_view_document import PlanViewDocument
from .plan_view_request import PlanViewRequest
from .point_create_asked import PointCreateAsked
from .point_remove_asked import PointRemoveAsked
from .points_asked import PointsAsked
from .points_query import PointsQuery
from .points_report import PointsReport
from .points_rotate_asked import PointsRotateAsked
from .points_view import PointsView
from .points_view_looked_at import PointsViewLookedAt
from .principal_view import PrincipalView
from .problem_document import ProblemDocument
from .progress_view import ProgressView
from .promote_asked import PromoteAsked
from .proof_level import ProofLevel
from .repair_asked import RepairAsked
from .resend_asked import ResendAsked
from .restore_asked import RestoreAsked
from .restore_beside_asked import RestoreBesideAsked
from .resume_asked import ResumeAsked
from .role import Role
from .rollback_asked import RollbackAsked
from .run_asked import RunAsked
from .schedule_view import ScheduleView
from .schedule_view_last_type_0 import ScheduleViewLastType0
from .schedules_view import SchedulesView
from .status_asked import StatusAsked
from .status_view import StatusView
from .status_view_result import StatusViewResult
from .submit_query import SubmitQuery
from .target_create_asked import TargetCreateAsked
from .target_points import TargetPoints
from .target_view import TargetView
from .target_view_failure_type_0 import TargetViewFailureType0
from .target_view_seen_type_0 import TargetViewSeenType0
from .targets_view import TargetsView
from .task_state import TaskState
from .task_state_status import TaskStateStatus
from .task_state_statuscode import TaskStateStatuscode
from .task_status_view import TaskStatusView
from .task_view import TaskView
from .text_view import TextView
from .undelete_asked import UndeleteAsked
from .verify_asked import VerifyAsked
from .wait_query import WaitQuery
from .watch_asked import WatchAsked
from .window_span import WindowSpan
from .witness_says import WitnessSays

__all__ = (
    "ApplyAsked",
    "BlameAsked",
    "CheckAsked",
    "ClusterAsked",
    "CopyTask",
    "CutPlace",
    "CutPoint",
    "CutPointGaps",
    "DeedsQuery",
    "DeedsView",
    "DeedsViewDeedsItem",
    "DeliveryState",
    "DiffAsked",
    "DrillAsked",
    "DrillsAsked",
    "ExpireAsked",
    "FailoverAsked",
    "Fault",
    "ForgetRenamedAsked",
    "HeldCut",
    "HoldCreateAsked",
    "HoldRemoveAsked",
    "HoldsQuery",
    "HoldsReport",
    "HoldsView",
    "HoldsViewLookedAt",
    "IngestTask",
    "JobsQuery",
    "JobState",
    "JobsView",
    "JobView",
    "JobViewDocumentType0",
    "JobViewRequest",
    "KnownGap",
    "KnownPoint",
    "ListedCut",
    "ListedCutGaps",
    "ListedHold",
    "LockAsked",
    "LogAsked",
    "MetadataAsked",
    "NoParameters",
    "NotificationsAsked",
    "NotificationsQuery",
    "NotificationsView",
    "NotificationView",
    "NotSeen",
    "PauseAsked",
    "PlanView",
    "PlanViewDocument",
    "PlanViewRequest",
    "PointCreateAsked",
    "PointRemoveAsked",
    "PointsAsked",
    "PointsQuery",
    "PointsReport",
    "PointsRotateAsked",
    "PointsView",
    "PointsViewLookedAt",
    "PrincipalView",
    "ProblemDocument",
    "ProgressView",
    "PromoteAsked",
    "ProofLevel",
    "RepairAsked",
    "ResendAsked",
    "RestoreAsked",
    "RestoreBesideAsked",
    "ResumeAsked",
    "Role",
    "RollbackAsked",
    "RunAsked",
    "SchedulesView",
    "ScheduleView",
    "ScheduleViewLastType0",
    "StatusAsked",
    "StatusView",
    "StatusViewResult",
    "SubmitQuery",
    "TargetCreateAsked",
    "TargetPoints",
    "TargetsView",
    "TargetView",
    "TargetViewFailureType0",
    "TargetViewSeenType0",
    "TaskState",
    "TaskStateStatus",
    "TaskStateStatuscode",
    "TaskStatusView",
    "TaskView",
    "TextView",
    "UndeleteAsked",
    "VerifyAsked",
    "WaitQuery",
    "WatchAsked",
    "WindowSpan",
    "WitnessSays",
)
