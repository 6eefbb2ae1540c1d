"""Audit seals follow one another without a gap, whoever adds them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE OR REPLACE FUNCTION public.audit_seal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.position <> 1 AND NOT EXISTS (
                SELECT 1 FROM public.audit_seals WHERE org_id = NEW.org_id AND position = NEW.position - 1
            ) THEN
                RAISE EXCEPTION 'an audit seal must follow the one before' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE OR REPLACE TRIGGER audit_seal_follows BEFORE INSERT ON public.audit_seals
        FOR EACH ROW EXECUTE FUNCTION public.audit_seal_follows()
        """
    )
